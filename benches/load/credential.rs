//! The credentials that calls may carry, by name.

use std::str::FromStr;

/// The credential of a call, or of the connection that it is made on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Credential {
    /// Nothing, of a server that lets everybody in. The others are compared with it.
    None,
    /// An API key of the file.
    Key,
    /// An API key of the database.
    StoredKey,
    /// One JWT over and over, as a client does until it expires.
    JwtEs256,
    JwtRs256,
    /// A JWT that the server has not seen before, or has forgotten: each call verifies a signature.
    NewJwtEs256,
    NewJwtRs256,
    /// Nothing, over TLS, of a server that lets everybody in.
    Tls,
    /// A certificate of the client, over TLS.
    Mtls,
}

impl Credential {
    pub(crate) const ALL: [Self; 9] = [
        Self::None,
        Self::Key,
        Self::StoredKey,
        Self::JwtEs256,
        Self::JwtRs256,
        Self::NewJwtEs256,
        Self::NewJwtRs256,
        Self::Tls,
        Self::Mtls,
    ];

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Key => "key",
            Self::StoredKey => "stored-key",
            Self::JwtEs256 => "jwt-es256",
            Self::JwtRs256 => "jwt-rs256",
            Self::NewJwtEs256 => "new-jwt-es256",
            Self::NewJwtRs256 => "new-jwt-rs256",
            Self::Tls => "tls",
            Self::Mtls => "mtls",
        }
    }

    /// Returns whether the server lets everybody in.
    pub(crate) fn is_open(self) -> bool {
        matches!(self, Self::None | Self::Tls)
    }

    /// Returns whether the credential is one JWT or many.
    pub(crate) fn is_jwt(self) -> bool {
        matches!(self, Self::JwtEs256 | Self::JwtRs256) || self.is_new()
    }

    /// Returns whether each call carries another token than the one before.
    pub(crate) fn is_new(self) -> bool {
        matches!(self, Self::NewJwtEs256 | Self::NewJwtRs256)
    }

    pub(crate) fn is_over_tls(self) -> bool {
        matches!(self, Self::Tls | Self::Mtls)
    }
}

impl FromStr for Credential {
    type Err = &'static str;

    fn from_str(name: &str) -> Result<Self, Self::Err> {
        Self::ALL.into_iter().find(|credential| credential.name() == name).ok_or("is no name of a credential here")
    }
}
