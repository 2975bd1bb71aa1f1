//! The calls without a valid credential, and the connections that fail to become TLS: they are counted, so that strangers do not fill
//! the log.

use std::collections::HashMap;
use std::fmt::Display;
use std::hash::Hash;
use std::net::IpAddr;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tokio::time::Instant;
use tonic::Code;
use tracing::field::display;

use super::outcome::code_name;
use crate::auth::api_key::KeyPrefix;
use crate::auth::refused_caller::{NoCaller, RefusalReason, RefusedCaller, RefusedOwner};

/// The shortest time between two lines of one kind.
const PAUSE: Duration = Duration::from_secs(10);
/// The most kinds of lines that name an owner or an issuer. Strangers cannot add to them: these names are those that the service knows.
const MAX_KINDS: usize = 256;

/// Counts the calls without a caller, and logs them now and then.
#[derive(Debug, Default)]
pub(crate) struct RefusedCallers(Throttle<Kind>);

/// The reason, with its words, and the owner of the credential or the issuer, if they are known.
type Kind = (RefusalReason, Option<&'static str>, Option<RefusedOwner>, Option<String>);

impl RefusedCallers {
    /// Counts a call. A line tells what is known of the last one.
    pub(crate) fn count(&self, refused: &RefusedCaller, peer: Option<IpAddr>) {
        let RefusedCaller { reason, detail, owner, issuer, prefix } = refused;
        let Some(calls) = self.0.count((*reason, *detail, owner.clone(), issuer.clone()), Instant::now()) else {
            return;
        };
        let (reason, detail, issuer) = (reason.name(), *detail, issuer.as_deref());
        let account = owner.as_ref().map(|owner| owner.account.as_str());
        let caller = owner.as_ref().map(|owner| owner.name.as_str());
        let (peer, key_prefix) = (peer.map(display), prefix.as_ref().map(KeyPrefix::as_str));
        macro_rules! log {
            ($level:ident, $code:expr) => {
                log_event!(
                    $level,
                    CALLERS_REFUSED,
                    code = code_name($code),
                    reason,
                    detail,
                    calls,
                    peer,
                    account,
                    caller,
                    key_prefix,
                    issuer,
                    "refused calls without a valid credential"
                )
            };
        }
        match refused.answer() {
            NoCaller::Unauthenticated => log!(info, Code::Unauthenticated),
            NoCaller::Unavailable => log!(warn, Code::Unavailable),
        }
    }
}

/// Counts the connections that have not become ones of TLS, and logs them now and then.
#[derive(Debug, Default)]
pub(crate) struct FailedHandshakes(Throttle<()>);

impl FailedHandshakes {
    /// Counts a connection.
    pub(crate) fn count(&self, problem: &dyn Display, peer: IpAddr) {
        if let Some(connections) = self.0.count((), Instant::now()) {
            log_event!(info, HANDSHAKES_FAILED, connections, %problem, %peer, "TLS handshakes failed");
        }
    }
}

/// Counts events of several kinds, and says when those of one are to be logged.
#[derive(Debug)]
struct Throttle<K>(Mutex<HashMap<Option<K>, Counted>>);

impl<K> Default for Throttle<K> {
    fn default() -> Self {
        Self(Mutex::default())
    }
}

#[derive(Debug, Default)]
struct Counted {
    events: u64,
    logged: Option<Instant>,
}

impl<K: Eq + Hash> Throttle<K> {
    /// Counts an event, and returns the number of those of its kind that are to be logged now.
    fn count(&self, kind: K, now: Instant) -> Option<u64> {
        let mut kinds = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        // Kinds beyond the most share one.
        let kind = Some(kind);
        let is_counted = kinds.len() < MAX_KINDS || kinds.contains_key(&kind);
        let counted = kinds.entry(if is_counted { kind } else { None }).or_default();
        counted.events += 1;
        if counted.logged.is_some_and(|logged| now.duration_since(logged) < PAUSE) {
            return None;
        }
        counted.logged = Some(now);
        Some(std::mem::take(&mut counted.events))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn events_of_a_kind_are_logged_now_and_then_with_their_number() {
        let (refused, start) = (Throttle::default(), Instant::now());
        let at = |kind, millis| refused.count(kind, start + Duration::from_millis(millis));
        let logged: Vec<_> = [0, 1, 9_999, 10_000, 10_001, 50_000].map(|millis| at("a", millis)).to_vec();
        assert_eq!(logged, [Some(1), None, None, Some(3), None, Some(2)]);
        assert_eq!((at("b", 50_001), at("a", 50_002)), (Some(1), None), "no kind hides another");
    }

    #[test]
    fn kinds_are_bounded() {
        let (refused, now) = (Throttle::default(), Instant::now());
        let logged = (0..10_000).filter(|kind| refused.count(*kind, now).is_some()).count();
        assert_eq!((logged, refused.0.lock().unwrap().len()), (MAX_KINDS + 1, MAX_KINDS + 1));
    }
}
