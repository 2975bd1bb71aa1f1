//! The reason why a call has no caller, for the log of the operator. The caller is told none of it, apart from whether a retry may help.

use strum::IntoStaticStr;

use super::api_key::KeyPrefix;
use super::caller::Caller;
use crate::domain::value::text::AccountId;

/// The answer to a call without a caller.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NoCaller {
    /// The metadata contain no credential, more than one, an unknown one, or one that has expired or was revoked. The error does not
    /// reveal which.
    Unauthenticated,
    /// The credential cannot be judged, because the database does not answer, too many unknown ones wait for it, or the keys of its
    /// issuer are not known.
    Unavailable,
}

/// The reason of a refusal, by its name in the log.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, IntoStaticStr)]
#[strum(serialize_all = "SCREAMING_SNAKE_CASE")]
pub enum RefusalReason {
    /// The metadata have no credential, and the connection has shown no certificate.
    NoCredential,
    /// The metadata have more than one credential.
    SeveralCredentials,
    /// `authorization` is not `Bearer` and a credential, or a value is no text.
    MalformedCredential,
    /// The credential has not the form of an API key.
    NoApiKey,
    /// The credential begins as an API key, and its checksum is wrong.
    MistypedKey,
    /// The API key is well-formed, and there is none such.
    UnknownKey,
    /// The API key has expired.
    ExpiredKey,
    /// The API key was revoked.
    RevokedKey,
    /// A key of the file has the name of this key of the database.
    NameTaken,
    /// The JWT is refused, as `detail` says.
    Jwt,
    /// There is no JWT issuer.
    NoIssuer,
    /// The certificate of the connection has expired.
    ExpiredCertificate,
    /// The certificate of the connection is in no entry, or signed by no authority.
    UnknownCertificate,
    /// The credential cannot be judged while the database does not answer, or too many wait for it.
    NotJudged,
    /// The JWT cannot be judged yet, as `detail` says.
    JwtNotJudged,
}

impl RefusalReason {
    /// All reasons, and the meaning of each.
    pub const ALL: [(Self, &str); 15] = [
        (Self::NoCredential, "no credential was sent, and the connection has shown no certificate"),
        (Self::SeveralCredentials, "more than one credential was sent"),
        (Self::MalformedCredential, "`authorization` is not `Bearer` and a credential, or a value is no text"),
        (Self::NoApiKey, "what was sent has not the form of an API key"),
        (Self::MistypedKey, "it begins as an API key, and its checksum is wrong"),
        (Self::UnknownKey, "it is well-formed, and there is no such key"),
        (Self::ExpiredKey, "the key has expired"),
        (Self::RevokedKey, "the key was revoked"),
        (Self::NameTaken, "a key of the file has the name of this key of the database"),
        (Self::Jwt, "the JWT is refused, as `detail` says"),
        (Self::NoIssuer, "a JWT was sent, and no issuer is configured"),
        (Self::ExpiredCertificate, "the certificate of the connection has expired"),
        (
            Self::UnknownCertificate,
            "the certificate of the connection is in no entry, or signed by no authority of now",
        ),
        (
            Self::NotJudged,
            "UNAVAILABLE: the key cannot be judged, since the database does not answer, or too many wait for it",
        ),
        (Self::JwtNotJudged, "UNAVAILABLE: the JWT cannot be judged yet, as `detail` says"),
    ];

    /// Returns the name in the log.
    pub fn name(self) -> &'static str {
        self.into()
    }

    /// Returns the answer to the caller.
    pub fn answer(self) -> NoCaller {
        match self {
            Self::NotJudged | Self::JwtNotJudged => NoCaller::Unavailable,
            Self::NoCredential
            | Self::SeveralCredentials
            | Self::MalformedCredential
            | Self::NoApiKey
            | Self::MistypedKey
            | Self::UnknownKey
            | Self::ExpiredKey
            | Self::RevokedKey
            | Self::NameTaken
            | Self::Jwt
            | Self::NoIssuer
            | Self::ExpiredCertificate
            | Self::UnknownCertificate => NoCaller::Unauthenticated,
        }
    }
}

/// The owner of a credential that is known, and refused all the same.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct RefusedOwner {
    /// The account.
    pub account: AccountId,
    /// The name of the credential.
    pub name: String,
}

/// A call without a caller: why, and what is known of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RefusedCaller {
    /// The reason.
    pub reason: RefusalReason,
    /// The reason in words, where there is more to say.
    pub detail: Option<&'static str>,
    /// The owner of the credential, if it is known.
    pub owner: Option<RefusedOwner>,
    /// The configured name of the JWT issuer, if it is known.
    pub issuer: Option<String>,
    /// The beginning of a key whose owner is not known.
    pub prefix: Option<KeyPrefix>,
}

impl RefusedCaller {
    /// Returns the answer to the caller.
    pub fn answer(&self) -> NoCaller {
        self.reason.answer()
    }

    /// Names the owner of the credential.
    pub(super) fn of(self, caller: &Caller) -> Self {
        Self { owner: Some(RefusedOwner { account: caller.account.clone(), name: caller.name.clone() }), ..self }
    }

    /// Names the beginning of the key that was sent, unless its owner is known.
    pub(super) fn sent(self, prefix: Option<KeyPrefix>) -> Self {
        let prefix = if self.owner.is_some() { None } else { prefix };
        Self { prefix, ..self }
    }
}

impl From<RefusalReason> for RefusedCaller {
    fn from(reason: RefusalReason) -> Self {
        Self { reason, detail: None, owner: None, issuer: None, prefix: None }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_reason_has_a_meaning_that_says_whether_to_try_again() {
        for (reason, meaning) in RefusalReason::ALL {
            let is_unavailable = meaning.starts_with("UNAVAILABLE");
            assert_eq!(reason.answer() == NoCaller::Unavailable, is_unavailable, "{}", reason.name());
        }
    }
}
