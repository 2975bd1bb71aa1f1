//! The configuration: `config/default.toml` < a TOML file < environment < flags, merged once at start and parsed into
//! values that cannot be wrong.
//!
//! Each section lives in its own file under `section`. What needs two sections is checked here. Not here: the syntax of signing
//! keys (`domain::token`), the list of permissions (`auth`), and any use of the values.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::time::Duration;

mod error;
mod layers;
mod parameters;
mod redacted;
mod section;
#[cfg(test)]
mod tests;
mod value;

pub use error::{ConfigError, Problem};
pub use section::admin::AdminConfig;
pub use section::auth::account::AccountEntry;
pub use section::auth::client_certificate::ClientCertificateEntry;
pub use section::auth::entry_file::EntryFile;
pub(crate) use section::auth::entry_file::{FileEntry, parse_entries};
pub(crate) use section::auth::jwt::parse::{read_authorities, read_bearer};
pub use section::auth::jwt::{JwksSource, JwtAccess, JwtIssuer, JwtSource, JwtSubject, VerifiedEmailClaims};
pub use section::auth::{ApiKeyEntry, AuthConfig};
pub use section::delivery::DeliveryConfig;
pub(crate) use section::events::check_urls as check_nats_urls;
pub use section::events::{EventsConfig, NatsBegin, NatsConfig};
pub use section::general::GeneralConfig;
pub use section::grpc::GrpcConfig;
pub use section::grpc::cors::CorsOrigins;
pub use section::grpc::tls::{ClientAuth, TlsConfig};
pub use section::limits::{LimitsConfig, Rate};
pub use section::links::{LinksConfig, TOKEN_PLACEHOLDER};
pub use section::log::{LogConfig, LogFormat, LoggedCalls};
pub use section::mail::{Encryption, MailConfig, MailTransport, Mailbox, ReplyTo, SmtpConfig, SmtpServer, Unsubscribe};
pub use section::pages::PagesConfig;
pub use section::reminders::{ReminderTimes, RemindersConfig};
pub use section::retention::RetentionConfig;
use section::store::ValidStore;
pub(crate) use section::store::reread::StoreTexts;
pub use section::store::{StoreConfig, StoreEncryption, StoreUrl};
pub use section::token::TokenConfig;
pub use section::webhooks::WebhooksConfig;
pub use value::parse_duration;

use crate::domain::delivery::notice::Notices;
use crate::domain::policy::Policy;
use error::{Checked, Problems};
use section::links::is_local_name;

/// The effective configuration; a value of this type has passed every check.
#[derive(Debug)]
pub struct Config {
    /// Everything about the listening socket and its connections.
    pub grpc: GrpcConfig,
    /// The listener for probes.
    pub admin: AdminConfig,
    /// The database.
    pub store: StoreConfig,
    /// The keys that sign invitation tokens.
    pub token: TokenConfig,
    /// The authentication of callers.
    pub auth: AuthConfig,
    /// The rules of accounts; `None` if there are none.
    pub accounts: Option<EntryFile<AccountEntry>>,
    /// The callers that prove who they are by a certificate; `None` if there are none.
    pub client_certificates: Option<EntryFile<ClientCertificateEntry>>,
    /// The issuers of JWTs that are accepted; `None` if there are none.
    pub jwt: Option<EntryFile<JwtIssuer>>,
    /// The limits on invitations.
    pub limits: LimitsConfig,
    /// The domains whose addresses may be invited, or join.
    pub policy: Policy,
    /// The link of an invitation, by kind.
    pub links: LinksConfig,
    /// The pages behind the links.
    pub pages: PagesConfig,
    /// The defaults of general invitations.
    pub general: GeneralConfig,
    /// The transport and the content of mail.
    pub mail: MailConfig,
    /// The worker that sends messages to people.
    pub delivery: DeliveryConfig,
    /// The times at which recipients who have not answered receive reminders.
    pub reminders: RemindersConfig,
    /// The notices that inviters get.
    pub notices: Notices,
    /// The followers of events, and NATS.
    pub events: EventsConfig,
    /// The posting of events to endpoints.
    pub webhooks: WebhooksConfig,
    /// The ages after which rows are deleted.
    pub retention: RetentionConfig,
    /// The log.
    pub log: LogConfig,
    pub(crate) files: SecretFiles,
    /// The layer that set a key, for keys that are not at their default.
    origins: BTreeMap<String, String>,
}

/// The files that secrets were read from.
#[derive(Debug)]
pub(crate) struct SecretFiles {
    pub(crate) store_url: Option<PathBuf>,
    pub(crate) store_password: Option<PathBuf>,
    pub(crate) listen_url: Option<PathBuf>,
    pub(crate) read_url: Option<PathBuf>,
    pub(crate) token_keys: Option<PathBuf>,
    pub(crate) api_keys: Option<PathBuf>,
    pub(crate) pages_api_key: Option<PathBuf>,
    pub(crate) mail_url: Option<PathBuf>,
    pub(crate) nats_url: Option<PathBuf>,
}

impl Config {
    /// Merges the four layers and parses the result, reporting every problem at once.
    ///
    /// `environment` may be the whole process environment: only names that begin with `INVITATION__` are looked at,
    /// and each of those must be known. `flags` are (`section.key`, value) pairs.
    ///
    /// # Errors
    /// An unreadable or malformed file, an unknown key, or a value that its field refuses.
    pub fn load(
        file: Option<&Path>,
        environment: impl IntoIterator<Item = (impl Into<OsString>, impl Into<OsString>)>,
        flags: impl IntoIterator<Item = (&'static str, String)>,
    ) -> Result<Config, ConfigError> {
        let mut problems = Problems::default();
        let environment: Vec<(OsString, OsString)> =
            environment.into_iter().map(|(name, value)| (name.into(), value.into())).collect();
        let flags: Vec<_> = flags.into_iter().collect();
        let log = LogConfig::of_format(layers::log_format(&environment, &flags));
        let merged = layers::merge(file, environment, flags, &mut problems);
        let layers::Merged { raw, origins } = merged.map_err(|error| ConfigError { log: Some(log), ..error })?;
        let log = Some(raw.log.usable());
        let config = parse(raw, &mut problems);
        match config {
            Ok(config) if problems.is_empty() => Ok(Config { origins, ..config }),
            Ok(_) | Err(error::Reported) => Err(ConfigError { log, ..problems.into_error(&origins) }),
        }
    }

    /// Returns whether the files of the configuration say who may call, whatever API keys are in the database.
    pub(crate) fn names_callers(&self) -> bool {
        let has_keys = matches!(&self.auth, AuthConfig::Required { api_keys } if !api_keys.is_empty());
        has_keys || self.jwt.is_some() || self.client_certificates.is_some()
    }

    /// Returns the error of problems that show when the values are used, each with the layer that set its key.
    pub(crate) fn refuse(&self, problems: Vec<Problem>) -> ConfigError {
        let mut all = Problems::default();
        problems.into_iter().for_each(|Problem { field, text }| all.add(field, text));
        ConfigError { log: Some(self.log.clone()), ..all.into_error(&self.origins) }
    }

    /// Renders the effective configuration as TOML with every secret replaced by `[redacted]`.
    pub fn redacted(&self) -> String {
        redacted::render(self)
    }
}

/// Parses all sections before it gives up, so that one start shows all problems.
fn parse(raw: layers::RawConfig, problems: &mut Problems) -> Checked<Config> {
    let layers::RawConfig {
        grpc,
        admin,
        store,
        token,
        auth,
        limits,
        policy,
        links,
        pages,
        general,
        mail,
        delivery,
        reminders,
        notices,
        events,
        webhooks,
        retention,
        log,
    } = raw;
    let grpc = grpc.validate(problems);
    let admin = admin.validate(problems);
    let store = store.validate(problems);
    let token = token.validate(problems);
    let accounts = auth.validate_accounts(problems);
    let client_certificates = auth.validate_client_certificates(problems);
    let jwt = auth.validate_jwt(problems);
    let auth = auth.validate(problems);
    let limits = limits.validate(problems);
    let policy = policy.validate(problems);
    let links = links.validate(problems);
    let pages = pages.validate(problems);
    let general = general.validate(problems);
    let mail = mail.validate(problems);
    let delivery = delivery.validate(problems);
    let reminders = reminders.validate(problems);
    let notices = notices.validate(problems);
    let events = events.validate(problems);
    let webhooks = webhooks.validate(problems);
    let retention = retention.validate(problems);
    let log = log.validate(problems);

    if let (Ok(grpc), Ok((auth, _))) = (&grpc, &auth) {
        check_open_access(grpc, auth, problems);
    }
    if let (Ok(grpc), Ok(Some(certificates))) = (&grpc, &client_certificates) {
        check_authorities(grpc, certificates, problems);
    }
    if let (Ok(grpc), Ok(admin)) = (&grpc, &admin) {
        check_sockets(grpc, admin, problems);
        if let (Ok((pages, _)), Ok((auth, _))) = (&pages, &auth) {
            pages.check_beside((grpc, admin, auth), problems);
        }
    }
    if let (Ok(grpc), Ok(store)) = (&grpc, &store) {
        check_time_budget(grpc, &store.config, problems);
    }
    if let (Ok(delivery), Ok((mail, _))) = (&delivery, &mail) {
        check_lease(delivery, mail, problems);
    }
    if let (Ok(links), Ok((mail, _))) = (&links, &mail) {
        check_localhost(links, mail, problems);
    }
    if let (Ok(store), Ok((token, _))) = (&store, &token) {
        check_shared_keys(&store.config, token, problems);
    }

    let ValidStore {
        config: store,
        url_file: store_url,
        listen_url_file: listen_url,
        read_url_file: read_url,
        password_file: store_password,
    } = store?;
    let ((token, token_keys), (auth, api_keys), (mail, mail_url)) = (token?, auth?, mail?);
    let (pages, pages_api_key) = pages?;
    let (events, nats_url) = events?;
    let files = SecretFiles {
        store_url,
        store_password,
        listen_url,
        read_url,
        token_keys,
        api_keys,
        pages_api_key,
        mail_url,
        nats_url,
    };
    Ok(Config {
        grpc: grpc?,
        admin: admin?,
        store,
        token,
        auth,
        accounts: accounts?,
        client_certificates: client_certificates?,
        jwt: jwt?,
        limits: limits?,
        policy: policy?,
        links: links?,
        pages,
        general: general?,
        mail,
        delivery: delivery?,
        reminders: reminders?,
        notices: notices?,
        events,
        webhooks: webhooks?,
        retention: retention?,
        log: log?,
        files,
        origins: BTreeMap::new(),
    })
}

fn check_open_access(grpc: &GrpcConfig, auth: &AuthConfig, problems: &mut Problems) {
    match auth {
        AuthConfig::None if !grpc.is_on_loopback() => problems.add(
            "auth.mode",
            format!(
                "\"none\" is allowed on a loopback address only, and grpc.listen is {}: set auth.mode = \"required\" \
                 or listen on 127.0.0.1",
                grpc.listen
            ),
        ),
        AuthConfig::None | AuthConfig::Required { .. } => {}
    }
}

fn check_authorities(grpc: &GrpcConfig, certificates: &EntryFile<ClientCertificateEntry>, problems: &mut Problems) {
    if grpc.tls.as_ref().is_none_or(|tls| tls.client_authorities.is_none()) {
        let file = certificates.path.display();
        let text =
            format!("has no effect without grpc.tls.client_ca_file: nobody can show a certificate that is in {file}");
        problems.add("auth.client_certificates_file", text);
    }
}

fn check_sockets(grpc: &GrpcConfig, admin: &AdminConfig, problems: &mut Problems) {
    if admin.listen == Some(grpc.listen) && grpc.listen.port() != 0 {
        problems.add("admin.listen", "is grpc.listen as well: give the probes a port of their own");
    }
    if admin.listen.is_none() && !grpc.health {
        problems.add("grpc.health", "can be false where admin.listen is set alone: otherwise no probe is answered");
    }
}

fn check_time_budget(grpc: &GrpcConfig, store: &StoreConfig, problems: &mut Problems) {
    // Otherwise the call's own deadline always fires first, and the caller never learns that the database is slow.
    if store.timeout >= grpc.request_timeout {
        problems.add(
            "store.timeout",
            format!(
                "must be shorter than grpc.request_timeout, which is {}",
                value::format_duration(grpc.request_timeout)
            ),
        );
    }
}

fn check_lease(delivery: &DeliveryConfig, mail: &MailConfig, problems: &mut Problems) {
    // Otherwise a message is broken off, or taken over, while the mail server is still allowed to answer: it comes twice.
    let least = mail.smtp.timeout * 4 + Duration::from_secs(10);
    if matches!(mail.transport, MailTransport::Smtp(_)) && delivery.lease < least {
        problems.add(
            "delivery.lease",
            format!("must be at least {}: four times mail.timeout and 10s", value::format_duration(least)),
        );
    }
}

/// Refuses links and senders in real mail that lead nowhere but to the machine of the recipient: nobody can take them back.
fn check_localhost(links: &LinksConfig, mail: &MailConfig, problems: &mut Problems) {
    if links.allow_localhost || !matches!(mail.transport, MailTransport::Smtp(_)) {
        return;
    }
    let reason = "and mail.url is a mail server: recipients would get it. Set it to your own, or set links.allow_localhost = true";
    for kind in links.on_localhost() {
        problems.add(format!("links.{}", kind.code()), format!("leads to the recipient's own machine, {reason}"));
    }
    if is_local_name(&mail.from.domain) {
        problems.add("mail.from", format!("has the domain {}, {reason}", mail.from.domain));
    }
}

/// Returns the settings of mail with another URL, unless the lease of messages is too short for it, or links lead to localhost.
pub(crate) fn reread_mail(
    mail: &MailConfig,
    (delivery, links): (&DeliveryConfig, &LinksConfig),
    url: &str,
) -> Result<MailConfig, String> {
    let mail = mail.with_url(url)?;
    let mut problems = Problems::default();
    check_lease(delivery, &mail, &mut problems);
    if !problems.is_empty() {
        return Err("needs a longer delivery.lease, and so a restart".to_owned());
    }
    check_localhost(links, &mail, &mut problems);
    if problems.is_empty() { Ok(mail) } else { Err("needs links and a sender that are not on localhost".to_owned()) }
}

fn check_shared_keys(store: &StoreConfig, token: &TokenConfig, problems: &mut Problems) {
    match (&store.url, &token.keys) {
        (StoreUrl::Postgres(_), None) => problems.add(
            "token.keys",
            "is required on PostgreSQL, because all replicas must sign with the same keys: make one with \
             `invitation-service token-key` and set token.keys or token.keys_file",
        ),
        (StoreUrl::Postgres(_), Some(_)) | (StoreUrl::Sqlite(_), _) => {}
    }
}
