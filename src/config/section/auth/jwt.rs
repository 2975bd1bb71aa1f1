//! The issuers of JWTs: whose tokens are accepted, which keys verify them, and what their holders may do.

pub(in crate::config) mod parse;

use std::path::PathBuf;
use std::time::Duration;

use url::Url;
use uuid::Uuid;

use crate::auth::permission::Permission;
use crate::domain::value::text::AccountId;

/// An issuer whose tokens are accepted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct JwtIssuer {
    /// The name in the names of callers and in logs; 1-32 lower-case letters, digits and hyphens.
    pub name: String,
    /// The claim `iss`, compared byte by byte.
    pub issuer: String,
    /// The accepted audiences; at least one.
    pub audiences: Vec<String>,
    /// The place of the keys.
    pub keys: JwksSource,
    /// The difference of clocks that is tolerated.
    pub leeway: Duration,
    /// The claim that names the caller.
    pub subject_claim: String,
    /// The account and the permissions.
    pub access: JwtAccess,
}

/// The place of an issuer's keys.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum JwksSource {
    /// A file, which is read again when it changes.
    File(PathBuf),
    /// A URL, which is fetched again from time to time.
    Url {
        /// The URL: https, or http on loopback.
        url: Url,
        /// A PEM file of the only authorities that are trusted; `None` for the system's.
        ca_file: Option<PathBuf>,
        /// A file with a bearer token that the URL asks for.
        bearer_file: Option<PathBuf>,
    },
}

/// The account and the permissions of an issuer's tokens.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum JwtAccess {
    /// All tokens are accepted, for what is fixed or claimed.
    All {
        /// The account.
        account: JwtSource<AccountId>,
        /// The permissions.
        permissions: JwtSource<Vec<Permission>>,
        /// The only organization, if tokens are bound to one.
        organization_id: Option<JwtSource<Uuid>>,
    },
    /// Only tokens of these subjects are accepted; the first rule that matches decides.
    Subjects(Vec<JwtSubject>),
    /// The tokens are of persons, who act as themselves.
    Persons {
        /// The account.
        account: JwtSource<AccountId>,
        /// The claims that have their address.
        email: VerifiedEmailClaims,
    },
}

/// The claims that have an e-mail address, and whether the issuer has verified it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct VerifiedEmailClaims {
    /// The claim that has the address.
    pub email: String,
    /// The claim that is true if the address is verified.
    pub verified: String,
}

/// A value that is configured, or comes from a claim.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum JwtSource<T> {
    /// The value.
    Fixed(T),
    /// The name of the claim; a JSON pointer if it begins with `/`.
    Claim(String),
}

/// The account and the permissions of some subjects.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct JwtSubject {
    /// The subject, or the beginning of subjects and `*`.
    pub subject: String,
    /// The account.
    pub account: AccountId,
    /// The permissions.
    pub permissions: Vec<Permission>,
    /// The only organization, if there is one.
    pub organization_id: Option<Uuid>,
}

impl JwtSubject {
    /// Returns whether the rule is for a subject.
    pub(crate) fn matches(&self, subject: &str) -> bool {
        match self.subject.strip_suffix('*') {
            Some(prefix) => subject.starts_with(prefix),
            None => subject == self.subject,
        }
    }
}
