//! The visit of a person: what the pages remember of it, sealed in a cookie, so that no process has to.
//!
//! The token of the link is in it and nowhere else: not in the address of a page, in its HTML, or in what is logged. A sealed cookie
//! cannot be read or made by anybody but this service, not even by the browser that has it.

use std::fmt;
use std::time::Duration;

use http::HeaderMap;
use http::header::COOKIE;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::Pages;
use crate::domain::secret::key_ring::{KeyRing, Sealed};
use crate::domain::value::time::Timestamp;

/// The time after which a visit is over. The proof of an address lasts as long.
pub(super) const VISIT_TTL: Duration = Duration::from_secs(30 * 60);
/// The context of the seal; the version of the content.
const CONTEXT: &[u8] = b"1";

/// A visit to one invitation.
#[derive(Clone, Deserialize, Serialize)]
pub(super) struct Visit {
    /// The token of the link.
    pub(super) token: String,
    /// The id of the visit. Who proves no address accepts under it.
    pub(super) id: Uuid,
    /// The text in each form of the visit.
    pub(super) form: Uuid,
    pub(super) expire_at: Timestamp,
    pub(super) step: Step,
}

/// The step that a person has come to.
#[derive(Clone, Default, Deserialize, Serialize)]
pub(super) enum Step {
    /// They have opened the link.
    #[default]
    Opened,
    /// They have asked for a code for an address.
    Asked { email: String },
    /// They have proven an address.
    Proven { email: String, proof: String },
    /// They have accepted.
    Accepted { acceptance: Uuid, subject: String, email: String },
    /// They have declined.
    Declined,
    /// They go on elsewhere, where it is accepted for them.
    Intended { email: String, proof: String },
}

impl fmt::Debug for Visit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Visit([redacted])")
    }
}

impl Visit {
    /// Returns the visit at another step.
    pub(super) fn at(&self, step: Step) -> Self {
        Self { step, ..self.clone() }
    }

    /// Returns whether a form was made for this visit.
    pub(super) fn has_form(&self, form: &str) -> bool {
        Uuid::try_parse(form).is_ok_and(|form| form == self.form)
    }

    fn seal(&self, ring: &KeyRing, nonce: [u8; 24]) -> Option<String> {
        ring.seal_as(Sealed::Visit, CONTEXT, &serde_json::to_vec(self).ok()?, nonce)
    }

    fn open(ring: &KeyRing, sealed: &str, now: Timestamp) -> Option<Self> {
        let content = ring.open_as(Sealed::Visit, CONTEXT, sealed)?;
        serde_json::from_slice(&content).ok().filter(|visit: &Self| visit.expire_at > now)
    }
}

impl Pages {
    /// Begins a visit with the token of a link.
    pub(super) fn begin_visit(&self, token: &str) -> Visit {
        let uuid = || uuid::Builder::from_random_bytes(self.entropy.bytes()).into_uuid();
        let (token, expire_at) = (token.to_owned(), self.clock.now().later(VISIT_TTL));
        Visit { token, id: uuid(), form: uuid(), expire_at, step: Step::Opened }
    }

    /// Returns the visit of a request, unless it is over.
    pub(super) fn visit_of(&self, headers: &HeaderMap) -> Option<Visit> {
        let cookies = headers.get_all(COOKIE).iter().filter_map(|line| line.to_str().ok());
        let mut pairs = cookies.flat_map(|line| line.split(';')).filter_map(|pair| pair.trim().split_once('='));
        let now = self.clock.now();
        pairs.find_map(|(name, value)| (name == self.cookie_name()).then(|| Visit::open(&self.ring, value, now))?)
    }

    /// Returns the value of `Set-Cookie` for a visit. The cookie goes to the pages alone, no script reads it, and it comes with links
    /// that are followed from elsewhere, such as from mail, but not with forms that are sent from elsewhere.
    pub(super) fn cookie(&self, visit: &Visit) -> Option<String> {
        let sealed = visit.seal(&self.ring, self.entropy.bytes())?;
        let age = visit.expire_at.since(self.clock.now()).as_secs();
        Some(self.set_cookie(&sealed, age))
    }

    /// Returns the value of `Set-Cookie` that ends a visit.
    pub(super) fn no_cookie(&self) -> String {
        self.set_cookie("", 0)
    }

    fn set_cookie(&self, value: &str, age: u64) -> String {
        let secure = if self.config.is_secure() { "; Secure" } else { "" };
        format!("{}={value}; Path=/i; Max-Age={age}; HttpOnly; SameSite=Lax{secure}", self.cookie_name())
    }

    fn cookie_name(&self) -> &'static str {
        if self.config.is_secure() { "__Secure-invitation" } else { "invitation" }
    }
}
