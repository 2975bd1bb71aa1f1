//! Puts changed logins to work: those of the database, of the mail server and of NATS. What is under way ends as it began.

use std::path::PathBuf;
use std::sync::{Mutex, PoisonError};

use secrecy::{ExposeSecret as _, SecretString};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use super::database::postgres_options;
use super::{keys, token_keys};
use crate::background::Background;
use crate::background::watched_file::{self, Content, Follow, names};
use crate::config::{
    Config, DeliveryConfig, LinksConfig, MailConfig, MailTransport, SecretFiles, SmtpServer, StoreConfig, StoreTexts,
    StoreUrl, check_nats_urls, reread_mail,
};
use crate::domain::secret::key_ring::KeyRing;
use crate::mail::transport::{SharedTransport, Transport};
use crate::store::{ChangedLogins, Store};
use crate::telemetry::metrics::files;

/// Starts the tasks that put changed token keys and a changed login to the database to work.
pub(super) fn follow(background: &Background, config: &Config, store: &Store, ring: &KeyRing) {
    let SecretFiles { store_url, store_password, listen_url, read_url, .. } = &config.files;
    let files = [store_url, store_password, listen_url, read_url].map(Clone::clone);
    let (settings, follow) = (config.store.clone(), background.follow());
    background.spawn_at_once(follow_database(store.clone(), settings, files, ring.clone(), follow));
    background.spawn_at_once(look_after_refusals(store.refused_logins(), background.files(), background.stop()));
    if let Some(path) = keys::file(config) {
        background.spawn_at_once(token_keys::run(store.clone(), ring.clone(), path, background.follow()));
    }
}

/// Makes everybody look at their files when a server refuses a login, until stopped.
async fn look_after_refusals(mut refused: watch::Receiver<()>, files: watch::Sender<u32>, stop: CancellationToken) {
    let look = async {
        while refused.changed().await.is_ok() {
            files.send_modify(|_| {});
        }
    };
    tokio::select! {
        () = look => {}
        () = stop.cancelled() => {}
    }
}

/// Follows the files of the URLs and of the password of PostgreSQL until stopped.
async fn follow_database(
    store: Store,
    config: StoreConfig,
    files: [Option<PathBuf>; 4],
    ring: KeyRing,
    follow: Follow,
) {
    let is_there = files.each_ref().map(Option::is_some);
    let paths: Vec<PathBuf> = files.into_iter().flatten().collect();
    // SQLite has no login, and another file needs a restart.
    if paths.is_empty() || matches!(config.url, StoreUrl::Sqlite(_)) {
        return;
    }
    let file = names(&paths);
    let apply = |contents: &[Content]| {
        let mut texts = contents.iter().map(|content| content.text.as_str());
        let [url, password, listen_url, read_url] = is_there.map(|is_there| is_there.then(|| texts.next()).flatten());
        let config = config.with_texts(StoreTexts { url, password, listen_url, read_url })?;
        let StoreUrl::Postgres(url) = &config.url else { return Ok(()) };
        let options = postgres_options(&config, url);
        // The library's error may repeat a part of the URL.
        let changed = store.use_logins(&options).map_err(|_| "a URL is not one of PostgreSQL".to_owned())?;
        if changed != ChangedLogins::default() {
            let fingerprint = fingerprint(&ring, contents);
            let ChangedLogins { url, listen_url, read_url } = changed;
            let [url, listen_url, read_url] =
                [url, listen_url, read_url].map(|parts| (!parts.is_empty()).then(|| parts.join(",")));
            log_event!(
                info,
                DATABASE_LOGIN_READ,
                file,
                fingerprint,
                url,
                listen_url,
                read_url,
                "the login to the database was read again; new connections use it"
            );
        }
        Ok(())
    };
    watched_file::run_together(files::STORE, paths, follow, apply).await;
}

/// Follows the files of the mail URL and of the authorities of mail servers until stopped.
pub(super) async fn follow_mail(
    transport: SharedTransport,
    (mail, delivery, links): (MailConfig, DeliveryConfig, LinksConfig),
    url_file: Option<PathBuf>,
    ring: KeyRing,
    follow: Follow,
) {
    let has_url = url_file.is_some();
    let paths: Vec<PathBuf> = url_file.into_iter().chain(mail.smtp.ca_file.clone()).collect();
    if paths.is_empty() {
        return;
    }
    let file = names(&paths);
    let at_work: Mutex<(MailTransport, Option<String>)> = Mutex::new((mail.transport.clone(), None));
    let apply = |contents: &[Content]| {
        let mut at_work = at_work.lock().unwrap_or_else(PoisonError::into_inner);
        let fingerprint = fingerprint(&ring, contents);
        let is_first = at_work.1.is_none();
        if at_work.1.as_ref() == Some(&fingerprint) {
            return Ok(());
        }
        let url = contents.first().filter(|_| has_url);
        let mail = match url {
            Some(url) => reread_mail(&mail, (&delivery, &links), &url.text)?,
            None => mail.clone(),
        };
        transport.replace(Transport::new(&mail).map_err(|error| error.to_string())?);
        let changed = differences(&at_work.0, &mail.transport);
        *at_work = (mail.transport, Some(fingerprint.clone()));
        if !is_first || !changed.is_empty() {
            let changed = if changed.is_empty() { "ca_file".to_owned() } else { changed.join(",") };
            log_event!(
                info,
                MAIL_LOGIN_READ,
                file,
                fingerprint,
                changed,
                "the login to the mail server was read again"
            );
        }
        Ok(())
    };
    watched_file::run_together(files::MAIL, paths, follow, apply).await;
}

/// Follows the file of the URLs of NATS until stopped, and hands other URLs to the publisher.
pub(super) async fn follow_nats(urls: watch::Sender<SecretString>, path: PathBuf, ring: KeyRing, follow: Follow) {
    let file = path.display().to_string();
    let apply = |content: &Content| {
        let text = content.text.trim();
        check_nats_urls(text)?;
        if urls.borrow().expose_secret() == text {
            return Ok(());
        }
        urls.send_replace(text.into());
        let fingerprint = ring.file_fingerprint(&[&content.text]);
        log_event!(info, NATS_LOGIN_READ, file, fingerprint, changed = "urls", "the login to NATS was read again");
        Ok(())
    };
    watched_file::run(files::NATS_URL, path, follow, apply).await;
}

/// Returns the name of contents that may hold weak passwords.
fn fingerprint(ring: &KeyRing, contents: &[Content]) -> String {
    ring.file_fingerprint(&contents.iter().map(|content| content.text.as_str()).collect::<Vec<_>>())
}

/// Returns the parts in which two transports differ.
fn differences(before: &MailTransport, now: &MailTransport) -> Vec<&'static str> {
    let (before, now) = match (before, now) {
        (MailTransport::Smtp(before), MailTransport::Smtp(now)) => (before, now),
        (MailTransport::Log, MailTransport::Log) => return Vec::new(),
        (MailTransport::Directory(before), MailTransport::Directory(now)) if before == now => return Vec::new(),
        _ => return vec!["transport"],
    };
    let secret = |secret: &SecretString| secret.expose_secret().to_owned();
    let user = |server: &SmtpServer| server.credentials.as_ref().map(|(user, _)| secret(user));
    let password = |server: &SmtpServer| server.credentials.as_ref().map(|(_, password)| secret(password));
    let parts = [
        ("host", (&before.host, before.port) != (&now.host, now.port)),
        ("encryption", before.encryption != now.encryption),
        ("user", user(before) != user(now)),
        ("password", password(before) != password(now)),
    ];
    parts.into_iter().filter(|(_, differs)| *differs).map(|(name, _)| name).collect()
}
