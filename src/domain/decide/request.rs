//! The idempotency key of a call: its request_id, and everything beside its message that affects the result.

use std::fmt;
use std::time::Duration;

use data_encoding::HEXLOWER;
use sha2::{Digest, Sha256};
use uuid::Uuid;

use crate::domain::invitation::acceptance::Subject;
use crate::domain::secret::key_ring::BodyDigest;
use crate::domain::value::text::AccountId;

/// The time for which request_ids are remembered: twice the promised time, so that clocks and restarts cannot matter.
pub const REMEMBERED_FOR: Duration = Duration::from_secs(48 * 3_600);

/// A request_id and the call that it stands for.
#[derive(Clone, Debug)]
pub struct Request {
    /// The method of the call; ids of different methods do not collide.
    pub method: &'static str,
    /// The id.
    pub id: String,
    /// The organization that asks and the one that it asks for, if the call's permission depends on them; ids of
    /// different organizations do not collide.
    pub organizations: Option<(Uuid, Uuid)>,
    /// The person who calls as themselves, if one does; ids of different persons do not collide.
    pub person: Option<Subject>,
    /// The part of a call that has several commands; empty for a call that has one.
    pub part: String,
    /// The digest of the body under every key of the ring, the signing one first.
    pub digests: Vec<BodyDigest>,
}

/// The key of a remembered request.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RequestKey {
    /// The account of the caller.
    pub account: AccountId,
    /// The method of the call.
    pub method: String,
    /// The id, with the organizations or the person before it and the part behind it.
    pub id: String,
}

impl Request {
    /// Returns the request of a call that speaks for the whole account.
    pub fn new(method: &'static str, id: &str, digests: Vec<BodyDigest>) -> Self {
        Self { method, id: id.to_owned(), organizations: None, person: None, part: String::new(), digests }
    }

    /// Returns the request of one of several commands of a call.
    pub fn part(&self, part: impl fmt::Display) -> Self {
        Self { part: part.to_string(), ..self.clone() }
    }

    /// Returns whether it belongs to one of several commands of a call.
    pub fn is_part(&self) -> bool {
        !self.part.is_empty()
    }

    /// Returns whether a digest is that of its body.
    pub fn has_digest(&self, digest: &BodyDigest) -> bool {
        self.digests.contains(digest)
    }

    /// Returns the key under which it is remembered.
    pub fn key(&self, account: &AccountId) -> RequestKey {
        self.key_of(account, self.with_owner(), &self.part)
    }

    /// Returns the key of the call that it belongs to.
    pub fn call_key(&self, account: &AccountId) -> RequestKey {
        self.key_of(account, self.with_owner(), "")
    }

    /// Returns every key under which it may be remembered.
    pub fn keys(&self, account: &AccountId) -> impl Iterator<Item = RequestKey> {
        let call = self.is_part().then(|| self.call_key(account));
        [self.key(account)].into_iter().chain(call)
    }

    /// An id has no spaces, so that no two keys are the same. A subject may have some, and may be long, so its hash stands for it.
    fn with_owner(&self) -> String {
        match (&self.person, self.organizations) {
            (Some(person), _) => format!(" person {} {}", HEXLOWER.encode(&Sha256::digest(&person.0)), self.id),
            (None, Some((requester, target))) => format!(" {requester} {target} {}", self.id),
            (None, None) => self.id.clone(),
        }
    }

    fn key_of(&self, account: &AccountId, id: String, part: &str) -> RequestKey {
        let id = if part.is_empty() { id } else { format!("{id} {part}") };
        RequestKey { account: account.clone(), method: self.method.to_owned(), id }
    }
}
