//! Conversions from the domain to messages.

pub(super) mod acceptance;
pub(super) mod json;
pub(super) mod shared;

use std::sync::LazyLock;

use crate::domain::invitation::Invitation;
use crate::domain::invitation::state::State;
use crate::domain::kind::{Kind, PerKind};
use crate::domain::value::time::{Timestamp, Ttl};
use crate::pb;

/// Converts a moment.
pub(crate) fn timestamp(at: Timestamp) -> prost_types::Timestamp {
    let nanos = i32::try_from(at.micros().rem_euclid(1_000_000) * 1_000).unwrap_or_default();
    prost_types::Timestamp { seconds: at.micros().div_euclid(1_000_000), nanos }
}

/// Converts a time to live.
pub(crate) fn duration(ttl: Ttl) -> prost_types::Duration {
    let nanos = i32::try_from(ttl.micros() % 1_000_000 * 1_000).unwrap_or_default();
    prost_types::Duration { seconds: ttl.micros() / 1_000_000, nanos }
}

/// Converts a state.
pub(crate) fn state(state: State) -> i32 {
    let state = match state {
        State::Active => pb::InvitationState::Active,
        State::Expired => pb::InvitationState::Expired,
        State::Revoked => pb::InvitationState::Revoked,
        State::Declined => pb::InvitationState::Declined,
        State::Fulfilled => pb::InvitationState::Fulfilled,
    };
    state.into()
}

/// The numbers of the kinds in the protos; a kind has the same name there as in the code.
static KIND_NUMBERS: LazyLock<PerKind<i32>> = LazyLock::new(|| {
    PerKind::from_fn(|kind| {
        let name = format!("INVITATION_KIND_{}", kind.code().to_uppercase());
        pb::InvitationKind::from_str_name(&name).unwrap_or_default().into()
    })
});

/// Converts a kind.
pub(crate) fn kind(kind: Kind) -> i32 {
    *KIND_NUMBERS.get(kind)
}

/// Reverses [`kind`].
pub(crate) fn kind_of(number: i32) -> Option<Kind> {
    KIND_NUMBERS.iter().find(|(_, known)| **known == number).map(|(kind, _)| kind)
}

/// Converts a count, which is never near the maximum of the type.
pub(crate) fn count(count: impl TryInto<i32>) -> i32 {
    count.try_into().unwrap_or(i32::MAX)
}

/// Returns the address of an invitation with a single one; empty if there is none.
pub(crate) fn only_address(invitation: &Invitation) -> String {
    invitation.present_recipients().next().map(|only| only.address.original()).unwrap_or_default().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_kind_has_a_number_of_its_own() {
        for each in Kind::ALL {
            assert_ne!(kind(each), 0, "{each:?}");
            assert_eq!(kind_of(kind(each)), Some(each));
        }
        assert_eq!(kind_of(0), None);
        assert_eq!(kind_of(1_000), None);
    }
}
