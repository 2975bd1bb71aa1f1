//! The settings of the database after their files were read again.

use secrecy::{ExposeSecret as _, SecretString};

use super::url::has_password;
use super::{StoreConfig, StoreEncryption, StoreUrl};

/// The contents of the files that have changed; `None` where there is no file.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct StoreTexts<'a> {
    pub(crate) url: Option<&'a str>,
    pub(crate) password: Option<&'a str>,
    pub(crate) listen_url: Option<&'a str>,
    pub(crate) read_url: Option<&'a str>,
}

impl StoreConfig {
    /// Returns the settings with other texts. The error never repeats them.
    ///
    /// # Errors
    /// A text that cannot be used, with the key of its file, or one that needs a restart.
    pub(crate) fn with_texts(&self, texts: StoreTexts<'_>) -> Result<StoreConfig, String> {
        let StoreUrl::Postgres(before) = &self.url else { return Ok(self.clone()) };
        let mut config = self.clone();
        if let Some(url) = texts.url {
            let url = parse("store.url_file", url, &self.encryption)?;
            // Notifications are waited for at the same place, unless another one was given.
            if self.listen_url.as_ref().is_some_and(|listen| listen.expose_secret() == before.expose_secret()) {
                config.listen_url = Some(url.clone());
            }
            config.url = StoreUrl::Postgres(url);
        }
        if let Some(text) = texts.listen_url {
            config.listen_url = match (&self.listen_url, text.trim()) {
                (None, "off") => None,
                (None, _) | (Some(_), "off") => {
                    return Err("store.listen_url_file: \"off\" changes with a restart".into());
                }
                (Some(_), text) => Some(parse("store.listen_url_file", text, &self.encryption)?),
            };
        }
        if let Some(text) = texts.read_url {
            config.read_url = Some(parse("store.read_url_file", text, &self.encryption)?);
        }
        if let Some(text) = texts.password {
            config.password = Some(parse_password(text).map_err(of_password)?);
        }
        config.check_password().map_err(of_password)?;
        Ok(config)
    }

    /// Refuses a password beside a URL that has one.
    pub(super) fn check_password(&self) -> Result<(), String> {
        let StoreUrl::Postgres(url) = &self.url else {
            return match self.password {
                Some(_) => Err("has no effect on SQLite, which has no password".to_owned()),
                None => Ok(()),
            };
        };
        if self.password.is_some() && has_password(url.expose_secret()) {
            return Err("is set, and the URL has a password: take that out of the URL".to_owned());
        }
        Ok(())
    }
}

fn of_password(problem: String) -> String {
    format!("store.password_file: {problem}")
}

fn parse(field: &str, text: &str, encryption: &StoreEncryption) -> Result<SecretString, String> {
    match StoreUrl::parse_with(text.trim(), encryption).map_err(|problem| format!("{field}: {problem}"))? {
        StoreUrl::Postgres(url) => Ok(url),
        StoreUrl::Sqlite(_) => {
            Err(format!("{field}: must stay a postgres:// URL: another kind of database needs a restart"))
        }
    }
}

/// Returns a password without the line break that editors put behind it. Spaces may belong to it.
pub(super) fn parse_password(text: &str) -> Result<SecretString, String> {
    let password = text.strip_suffix('\n').unwrap_or(text);
    let password = password.strip_suffix('\r').unwrap_or(password);
    if password.is_empty() || password.contains(['\n', '\r', '\0']) {
        return Err("must hold the password alone, on one line".to_owned());
    }
    Ok(password.into())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Config;

    fn config(environment: &[(&str, &str)]) -> StoreConfig {
        let keys = ("INVITATION__TOKEN__KEYS", "1:AQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQE=");
        Config::load(None, environment.iter().copied().chain([keys]), []).unwrap().store
    }

    fn url(config: &StoreConfig) -> &str {
        let StoreUrl::Postgres(url) = &config.url else { panic!("{config:?}") };
        url.expose_secret()
    }

    #[test]
    fn another_url_holds_for_notifications_without_their_own() {
        let old = "postgres://u:old@localhost/d";
        let (new, own) = ("postgres://u:new@localhost/d\n", "postgres://u:p@localhost/e");
        let texts = StoreTexts { url: Some(new), ..StoreTexts::default() };
        let read = config(&[("INVITATION__STORE__URL", old)]).with_texts(texts).unwrap();
        assert_eq!((url(&read), read.listen_url.as_ref().unwrap().expose_secret()), (new.trim(), new.trim()));
        let read = config(&[("INVITATION__STORE__URL", old), ("INVITATION__STORE__LISTEN_URL", own)]);
        assert_eq!(read.with_texts(texts).unwrap().listen_url.unwrap().expose_secret(), own);
    }

    #[test]
    fn texts_that_cannot_be_used_are_refused_without_repeating_them() {
        let config = config(&[("INVITATION__STORE__URL", "postgres://u@localhost/d")]);
        let url = |text| StoreTexts { url: Some(text), ..StoreTexts::default() };
        let password = |text| StoreTexts { password: Some(text), ..StoreTexts::default() };
        let listen = |text| StoreTexts { listen_url: Some(text), ..StoreTexts::default() };
        let both = StoreTexts { password: Some("hunter2"), ..url("postgres://u:hunter2@localhost/d") };
        for (texts, part) in [
            (url("hunter2"), "store.url_file: must be"),
            (url("sqlite://hunter2"), "restart"),
            (url("postgres://u:hunter2@localhost/d?hunter2=hunter2@"), "unknown parameter"),
            (url("postgres://u:p@localhost/d#hunter2"), "`#`"),
            (url("postgres://u:p@localhost/d?sslmode=hunter2"), "another value of sslmode"),
            (password(""), "on one line"),
            (password("hunter2\nhunter2"), "on one line"),
            (both, "store.password_file: is set"),
            (listen("off"), "restart"),
        ] {
            let error = config.with_texts(texts).unwrap_err();
            assert!(error.contains(part) && !error.contains("hunter2"), "{error}");
        }
        for (text, wanted) in [("p w \n", "p w "), ("p\r\n", "p"), ("p", "p")] {
            assert_eq!(config.with_texts(password(text)).unwrap().password.unwrap().expose_secret(), wanted);
        }
    }
}
