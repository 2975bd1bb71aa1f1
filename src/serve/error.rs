//! The reasons why the service cannot run.

use crate::auth::authenticator::AuthenticatorError;
use crate::config::ConfigError;
use crate::domain::secret::key_check::RingRefused;
use crate::domain::secret::key_ring::KeyRingError;
use crate::domain::value::rule::Invalid;
use crate::mail::compose::TemplatesError;
use crate::mail::transport::TransportError;
use crate::pages::PagesError;
use crate::store::{OpenError, StoreError};

/// The reason for which the service cannot run.
#[derive(Debug, thiserror::Error)]
pub enum ServeError {
    /// The configuration cannot be used.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// The credentials do not fit.
    #[error(transparent)]
    Auth(#[from] AuthenticatorError),
    /// The database cannot be opened.
    #[error(transparent)]
    Open(#[from] OpenError),
    /// The embedded database cannot be brought up to date.
    #[error("the schema cannot be brought up to date: {0}")]
    Migrate(#[from] StoreError),
    /// The database can never be used.
    #[error("store.url: {0}")]
    Database(StoreError),
    /// The keys do not fit.
    #[error("token.keys: {0}")]
    Keys(#[from] KeyRingError),
    /// PostgreSQL is shared between replicas, and so must the keys be.
    #[error("token.keys: required with PostgreSQL; create a key with `invitation-service token-key`")]
    NoKeys,
    /// The keys do not fit what the database has seen.
    #[error(transparent)]
    KeyRing(#[from] RingRefused),
    /// The file with the generated keys is gone, and a new key would make every link worthless.
    #[error(
        "{0} is missing, but the database beside it has been used: restore that file from a backup. To give up every link and \
         webhook secret instead, set token.keys to a new key with an id that was never used"
    )]
    KeyFileMissing(String),
    /// The file with the generated keys cannot be read or written.
    #[error("{0}: mount a writable volume at its folder, or set token.keys")]
    KeyFile(String),
    /// The default time of general invitations is none that an invitation can have.
    #[error("general.ttl: {}", .0.description)]
    GeneralTtl(Invalid),
    /// The templates of mail cannot be used.
    #[error(transparent)]
    Templates(#[from] TemplatesError),
    /// The templates of the pages cannot be used.
    #[error(transparent)]
    Pages(#[from] PagesError),
    /// Mail cannot be sent the configured way.
    #[error(transparent)]
    Transport(#[from] TransportError),
    /// Connections cannot be served with TLS.
    #[error("grpc.tls: {0}")]
    Tls(String),
    /// A line of a file of tombstones is none.
    #[error("line {0} is not a tombstone: expected a line of `invitation-service erasures`")]
    Tombstone(usize),
    /// The compiled protobuf files cannot be read.
    #[error("reflection: {0}")]
    Reflection(#[from] prost::DecodeError),
}
