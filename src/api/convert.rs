//! From the domain to messages.

pub(super) mod acceptance;
pub(super) mod json;

use crate::domain::invitation::state::State;
use crate::domain::kind::Kind;
use crate::domain::value::time::Timestamp;
use crate::pb;

/// Converts a moment.
pub(crate) fn timestamp(at: Timestamp) -> prost_types::Timestamp {
    let nanos = i32::try_from(at.micros().rem_euclid(1_000_000) * 1_000).unwrap_or_default();
    prost_types::Timestamp { seconds: at.micros().div_euclid(1_000_000), nanos }
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

/// Converts a kind.
pub(crate) fn kind(kind: Kind) -> i32 {
    let kind = match kind {
        Kind::Connection => pb::InvitationKind::Connection,
        Kind::User => pb::InvitationKind::User,
        Kind::Guest => pb::InvitationKind::Guest,
        Kind::General => pb::InvitationKind::General,
    };
    kind.into()
}

/// Converts a count, which is never near the end of the type.
pub(crate) fn count(count: impl TryInto<i32>) -> i32 {
    count.try_into().unwrap_or(i32::MAX)
}
