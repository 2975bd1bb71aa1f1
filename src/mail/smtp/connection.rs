//! One connection to a mail server, from the greeting to the message.

use std::fmt;
use std::time::Duration;

use lettre::transport::smtp::Error;
use lettre::transport::smtp::authentication::{Credentials, Mechanism};
use lettre::transport::smtp::client::{AsyncSmtpConnection, AsyncTokioStream, TlsParameters};
use lettre::transport::smtp::commands::{Data, Mail, Rcpt, Rset};
use lettre::transport::smtp::extension::{ClientId, Extension, MailBodyParameter, MailParameter};
use lettre::transport::smtp::response::{Response, Severity};
use secrecy::ExposeSecret;
use tokio::net::TcpStream;
use tokio::time::timeout;

use super::failure;
use super::failure::Step;
use super::message::Formatted;
use super::starttls_guard::StarttlsGuard;
use crate::config::{Encryption, SmtpServer};
use crate::mail::transport::{SendError, SendFailure};

/// The name and the credentials for a mail server.
pub(crate) struct SmtpEndpoint {
    server: SmtpServer,
    tls: Option<TlsParameters>,
    hello: ClientId,
    pub(crate) timeout: Duration,
}

impl SmtpEndpoint {
    pub(crate) fn new(server: SmtpServer, tls: Option<TlsParameters>, helo: &str, timeout: Duration) -> Self {
        Self { server, tls, hello: ClientId::Domain(helo.to_owned()), timeout }
    }

    /// Returns the address of the server, and how connections to it are made.
    pub(crate) fn describe(&self) -> String {
        let encryption = match self.server.encryption {
            Encryption::None => "in the clear",
            Encryption::Implicit => "with TLS",
            Encryption::Starttls => "with STARTTLS",
        };
        let login = if self.server.credentials.is_some() { "the login is accepted" } else { "without a login" };
        format!("{} answers, {encryption}, {login}", self.server.address())
    }

    /// Connects, encrypts and authenticates. Nothing of a message, and no password, is sent before the connection is as
    /// safe as it has to be.
    pub(crate) async fn open(&self) -> Result<SmtpConnection, SendError> {
        let Self { server, tls, hello, timeout: limit } = self;
        let implicit = tls.clone().filter(|_| server.encryption == Encryption::Implicit);
        let address = (server.host.as_str(), server.port);
        // The whole of it is limited: a name with several addresses would have the limit for each.
        let mut connection = if implicit.is_some() {
            let connecting = AsyncSmtpConnection::connect_tokio1(address, None, hello, implicit, None);
            in_time(*limit, Step::Connect, connecting).await?
        } else {
            let stream = timeout(*limit, TcpStream::connect(address)).await;
            let stream = stream.map_err(|_| failure::late(Step::Connect))?.map_err(|error| failure::cut(&error))?;
            // A message ends with a line that is sent by itself, which would wait for the server to acknowledge the rest.
            drop(stream.set_nodelay(true));
            let stream: Box<dyn AsyncTokioStream> = match server.encryption {
                Encryption::Starttls => Box::new(StarttlsGuard::new(stream)),
                Encryption::None | Encryption::Implicit => Box::new(stream),
            };
            let greeting = AsyncSmtpConnection::connect_with_transport(stream, hello);
            in_time(*limit, Step::Connect, greeting).await?
        };
        if let (Encryption::Starttls, Some(tls)) = (server.encryption, tls) {
            if !connection.can_starttls() {
                let why = "the mail server does not offer STARTTLS, which mail.starttls requires";
                return Err(SendError::new(SendFailure::Misconfigured, why));
            }
            in_time(*limit, Step::Starttls, connection.starttls(tls.clone(), hello)).await?;
            // Everything that follows would be sent in the clear.
            if !connection.is_encrypted() {
                return Err(SendError::new(SendFailure::Misconfigured, "the connection is not encrypted"));
            }
        }
        if let Some((user, password)) = &server.credentials {
            let mechanisms = [Mechanism::Plain, Mechanism::Login];
            if connection.server_info().get_auth_mechanism(&mechanisms).is_none() {
                let why = "the mail server offers neither AUTH PLAIN nor AUTH LOGIN";
                return Err(SendError::new(SendFailure::Misconfigured, why));
            }
            let credentials = Credentials::new(user.expose_secret().to_owned(), password.expose_secret().to_owned());
            in_time(*limit, Step::Auth, connection.auth(&mechanisms, &credentials)).await?;
        }
        Ok(SmtpConnection { connection, timeout: *limit, sound: true })
    }
}

impl fmt::Debug for SmtpEndpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Entrance({})", self.server.address())
    }
}

/// A connection that is ready for a message.
pub(crate) struct SmtpConnection {
    connection: AsyncSmtpConnection,
    timeout: Duration,
    /// Whether question and answer are still in step, so that another message can follow.
    sound: bool,
}

impl SmtpConnection {
    /// Returns whether another message can follow. Not so while one is under way, however that ends.
    pub(crate) fn is_sound(&self) -> bool {
        self.sound
    }

    /// Asks whether the server is still there, and resets a message that was begun.
    pub(crate) async fn reset(&mut self) -> Result<(), SendError> {
        self.say(Step::Rset, Rset).await.map(drop)
    }

    /// Sends a message to its one recipient.
    pub(crate) async fn send(&mut self, message: &Formatted) -> Result<(), SendError> {
        let (from, to) = (message.from.clone(), message.to.clone());
        let parameters = self.parameters(message)?;
        let international = !parameters.is_empty();
        self.say(Step::Mail, Mail::new(Some(from), parameters)).await.map_err(|error| match error.kind {
            // The sender is not to blame for a recipient that needs more than the server can do.
            SendFailure::Misconfigured if international => SendError { kind: SendFailure::Refused, ..error },
            _ => error,
        })?;
        self.say(Step::Rcpt, Rcpt::new(to, Vec::new())).await?;
        self.say(Step::Data, Data).await?;
        self.sound = false;
        // No limit of its own: giving up here most likely means sending twice, and the whole is limited.
        let answer = self.connection.message(&message.bytes).await;
        self.settle(Step::Message, answer)
    }

    /// Returns what the message needs of the server (RFC 6531), if that can do it.
    fn parameters(&self, message: &Formatted) -> Result<Vec<MailParameter>, SendError> {
        if message.is_ascii() {
            return Ok(Vec::new());
        }
        let server = self.connection.server_info();
        let able = [Extension::SmtpUtfEight, Extension::EightBitMime].map(|able| server.supports_feature(able));
        if able != [true, true] {
            let why = "the address needs SMTPUTF8, which the mail server does not offer";
            return Err(SendError::new(SendFailure::Refused, why));
        }
        Ok(vec![MailParameter::SmtpUtfEight, MailParameter::Body(MailBodyParameter::EightBitMime)])
    }

    async fn say<C: fmt::Display>(&mut self, step: Step, command: C) -> Result<(), SendError> {
        self.sound = false;
        let answer = timeout(self.timeout, self.connection.command(command)).await;
        let answer = answer.map_err(|_| failure::late(step))?;
        self.settle(step, answer)
    }

    /// Judges an answer; after a whole one, whichever it is, the dialogue can go on.
    fn settle(&mut self, step: Step, answer: Result<Response, Error>) -> Result<(), SendError> {
        // With 421 the server announces that it hangs up.
        let code = match &answer {
            Ok(answer) => Some(u16::from(answer.code())),
            Err(error) => error.status().map(u16::from),
        };
        self.sound = code.is_some_and(|code| code != 421);
        let answer = answer.map_err(|error| failure::of(step, &error))?;
        let wanted = if step == Step::Data { Severity::PositiveIntermediate } else { Severity::PositiveCompletion };
        if answer.code().severity == wanted {
            return Ok(());
        }
        // Neither yes nor no: the server's next step is unknown.
        self.sound = false;
        Err(failure::of_answer(step, answer.code().into(), None))
    }
}

impl fmt::Debug for SmtpConnection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Dialogue").field("sound", &self.sound).finish_non_exhaustive()
    }
}

async fn in_time<T>(
    limit: Duration,
    step: Step,
    answer: impl Future<Output = Result<T, Error>>,
) -> Result<T, SendError> {
    match timeout(limit, answer).await {
        Ok(answer) => answer.map_err(|error| failure::of(step, &error)),
        Err(_) => Err(failure::late(step)),
    }
}
