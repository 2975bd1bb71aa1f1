//! Mail by SMTP: connections that are used again, each step in bounded time, and what a server's answer means.
//!
//! lettre gives the dialogue's parts and TLS. Its own pool is not used: it has no time limit on a step, and takes back a
//! connection whose dialogue was broken off halfway, so that the next message would read the last one's answers.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use lettre::transport::smtp::client::{Certificate, TlsParameters};
use tokio::sync::Semaphore;
use tokio::time::{Instant, timeout};

use super::message::Mail;
use super::transport::{SendError, SendFailure, TransportError};
use crate::config::{Encryption, SmtpConfig, SmtpServer};
use crate::input_file;

mod connection;
mod failure;
pub(in crate::mail) mod message;
mod starttls_guard;

use connection::{SmtpConnection, SmtpEndpoint};

/// A message may take as many times the limit of one step.
const STEPS: u32 = 4;
/// A connection that has been idle for longer is not used again: servers close them, some without a word.
const IDLE: Duration = Duration::from_secs(30);

/// A mail server and the connections to it.
#[derive(Debug)]
pub(in crate::mail) struct Smtp {
    entrance: SmtpEndpoint,
    places: Semaphore,
    idle: Mutex<Vec<Idle>>,
}

#[derive(Debug)]
struct Idle {
    dialogue: SmtpConnection,
    since: Instant,
}

impl Smtp {
    /// Prepares TLS and reads the authorities.
    pub(in crate::mail) fn new(server: &SmtpServer, config: &SmtpConfig) -> Result<Self, TransportError> {
        let SmtpConfig { starttls: _, ca_file, timeout, connections, helo } = config;
        let tls = match server.encryption {
            Encryption::None => None,
            Encryption::Implicit | Encryption::Starttls => {
                let mut parameters = TlsParameters::builder(server.host.clone());
                if let Some(path) = ca_file {
                    let place = path.display().to_string();
                    let failed = |why: String| TransportError::Authorities(place.clone(), why);
                    let pem = input_file::read(path).map_err(|error| failed(error.to_string()))?;
                    if !pem.windows(27).any(|window| window == b"-----BEGIN CERTIFICATE-----") {
                        return Err(failed("there is no certificate in it".to_owned()));
                    }
                    let authorities = Certificate::from_pem(&pem).map_err(|error| failed(error.to_string()))?;
                    parameters = parameters.add_root_certificate(authorities);
                }
                Some(parameters.build().map_err(|error| TransportError::Tls(error.to_string()))?)
            }
        };
        let connections = usize::try_from(*connections).unwrap_or(1);
        Ok(Self {
            entrance: SmtpEndpoint::new(server.clone(), tls, helo, *timeout),
            places: Semaphore::new(connections),
            idle: Mutex::default(),
        })
    }

    /// Connects, encrypts and logs in, sends no message, and returns the server and how the connection was made.
    pub(in crate::mail) async fn try_connect(&self) -> Result<String, SendError> {
        let late = |_| SendError::new(SendFailure::Retry, "the mail server took too long");
        let mut connection = timeout(self.entrance.timeout * STEPS, self.entrance.open()).await.map_err(late)??;
        connection.reset().await?;
        Ok(self.entrance.describe())
    }

    /// Sends a message over an idle connection or a new one.
    pub(in crate::mail) async fn send(&self, mail: &Mail) -> Result<(), SendError> {
        let formatted = message::format(mail)?;
        let late = |_| SendError::new(SendFailure::Retry, "the mail server took too long");
        // A dropped guard closes its connection, whatever state that is in.
        timeout(self.entrance.timeout * STEPS, self.hand_over(&formatted)).await.map_err(late)?
    }

    async fn hand_over(&self, message: &message::Formatted) -> Result<(), SendError> {
        // The semaphore is never closed.
        let _place = self.places.acquire().await;
        let mut dialogue = match self.reuse().await {
            Some(dialogue) => dialogue,
            None => self.entrance.open().await?,
        };
        let sent = dialogue.send(message).await;
        if dialogue.is_sound() {
            let since = Instant::now();
            self.idle.lock().unwrap_or_else(PoisonError::into_inner).push(Idle { dialogue, since });
        }
        sent
    }

    /// Returns an idle connection that still answers; those that do not are dropped.
    async fn reuse(&self) -> Option<SmtpConnection> {
        loop {
            let Idle { mut dialogue, since } = self.idle.lock().unwrap_or_else(PoisonError::into_inner).pop()?;
            if since.elapsed() < IDLE && dialogue.reset().await.is_ok() {
                return Some(dialogue);
            }
        }
    }
}
