//! The filters of lists.

use crate::api::convert::kind_of;
use crate::api::parse::violations::Violations;
use crate::domain::delivery::DeliveryState;
use crate::domain::invitation::acceptance::AcceptanceState;
use crate::domain::invitation::event::EventTypeFilter;
use crate::domain::invitation::recipient::{Address, AddressType, RecipientState};
use crate::domain::invitation::state::State;
use crate::domain::kind::{Kind, Scope};
use crate::domain::value::email::Email;
use crate::domain::value::rule::{FieldRule, Invalid};
use crate::domain::value::text;
use crate::pb;
use crate::store::GuestStatus;

const MAX_VALUES: usize = 50;
const MAX_EVENT_TYPES: usize = 200;

/// Parses the values of a filter by an enum; unknown values are refused.
pub(in crate::api) fn values<T>(
    violations: &mut Violations,
    field: &str,
    values: &[i32],
    parse: impl Fn(i32) -> Option<T>,
) -> Vec<T> {
    if values.len() > MAX_VALUES {
        violations.add(field, FieldRule::TooMany, "must have at most 50 entries");
        return Vec::new();
    }
    let parsed = values.iter().enumerate().filter_map(|(index, value)| {
        violations.take(
            format!("{field}[{index}]"),
            parse(*value).ok_or(Invalid::new(FieldRule::UnknownValue, "must be a known value")),
        )
    });
    parsed.collect()
}

/// Parses states.
pub(in crate::api) fn states(violations: &mut Violations, field: &str, states: &[i32]) -> Vec<State> {
    use pb::InvitationState as Given;
    values(violations, field, states, |value| match Given::try_from(value).ok()? {
        Given::Unspecified => None,
        Given::Active => Some(State::Active),
        Given::Expired => Some(State::Expired),
        Given::Revoked => Some(State::Revoked),
        Given::Declined => Some(State::Declined),
        Given::Fulfilled => Some(State::Fulfilled),
    })
}

/// Parses kinds.
pub(in crate::api) fn kinds(violations: &mut Violations, field: &str, kinds: &[i32]) -> Vec<Kind> {
    values(violations, field, kinds, kind_of)
}

/// Parses types and families of events; the same twice counts once.
pub(in crate::api) fn event_types(violations: &mut Violations, field: &str, names: &[String]) -> Vec<EventTypeFilter> {
    const UNKNOWN: Invalid = Invalid::new(
        FieldRule::UnknownValue,
        "must be a known type of event, or a family: invitation.*, acceptance.*, delivery.*, autojoin.* or suppression.*",
    );
    let parse = |name: &str| EventTypeFilter::from_name(name).ok_or(UNKNOWN);
    let mut chosen = Vec::new();
    for found in violations.each(field, names, MAX_EVENT_TYPES, parse) {
        if !chosen.contains(&found) {
            chosen.push(found);
        }
    }
    chosen
}

/// Parses a reference to a scope.
pub(in crate::api) fn scope(violations: &mut Violations, field: &str, scope: Option<&pb::ScopeRef>) -> Option<Scope> {
    let scope = scope?;
    let scope_type = violations.required(&format!("{field}.type"), &scope.r#type, text::opaque_id);
    let id = violations.required(&format!("{field}.id"), &scope.id, text::opaque_id);
    Some(Scope { scope_type: scope_type?, id: id?, display_name: None })
}

/// Parses a type of address.
pub(in crate::api) fn address_type(given: i32) -> Result<AddressType, Invalid> {
    const MISSING: Invalid =
        Invalid::new(FieldRule::Required, "is required: one of TARGET_TYPE_EMAIL, _PHONE, _INTERNAL, _SHARE");
    match pb::TargetType::try_from(given) {
        Ok(pb::TargetType::Unspecified) => Err(MISSING),
        Ok(pb::TargetType::Email) => Ok(AddressType::Email),
        Ok(pb::TargetType::Phone) => Ok(AddressType::Phone),
        Ok(pb::TargetType::Internal) => Ok(AddressType::Internal),
        Ok(pb::TargetType::Share) => Ok(AddressType::Share),
        Ok(pb::TargetType::Erased) => {
            Err(Invalid::new(FieldRule::NotAllowed, "must not be TARGET_TYPE_ERASED: nothing is left to look for"))
        }
        Err(_) => Err(Invalid::new(FieldRule::UnknownValue, "must be a known type")),
    }
}

/// Parses a part of an e-mail address, at most 100 bytes, and normalises it as in the normalised form of the whole
/// address.
pub(in crate::api) fn email_part(value: &str) -> Result<String, Invalid> {
    if value.len() > 100 {
        return Err(Invalid::new(FieldRule::TooLong, "must have at most 100 bytes"));
    }
    text::free_text(value).map(|part| Email::normal_part(&part))
}

/// Parses `statuses` of guest invitations.
pub(in crate::api) fn guest_statuses(violations: &mut Violations, statuses: &[i32]) -> Vec<GuestStatus> {
    use pb::GuestInvitationStatus as Given;
    values(violations, "statuses", statuses, |value| match Given::try_from(value).ok()? {
        Given::Unspecified => None,
        Given::Sent => Some(GuestStatus::Sent),
        Given::AcceptedByGuest => Some(GuestStatus::AcceptedByGuest),
        Given::AcceptedBySystem => Some(GuestStatus::AcceptedBySystem),
    })
}

/// Parses `states` of messages.
pub(in crate::api) fn delivery_states(violations: &mut Violations, states: &[i32]) -> Vec<DeliveryState> {
    use pb::DeliveryState as Given;
    values(violations, "states", states, |value| match Given::try_from(value).ok()? {
        Given::Unspecified => None,
        Given::Queued => Some(DeliveryState::Queued),
        Given::Sending => Some(DeliveryState::Sending),
        Given::Sent => Some(DeliveryState::Sent),
        Given::Delivered => Some(DeliveryState::Delivered),
        Given::Bounced => Some(DeliveryState::Bounced),
        Given::Failed => Some(DeliveryState::Failed),
        Given::Cancelled => Some(DeliveryState::Cancelled),
        Given::Suppressed => Some(DeliveryState::Suppressed),
    })
}

/// Parses `states` of recipients; `None` if the list is not filtered by them.
pub(in crate::api) fn recipient_states(violations: &mut Violations, states: &[i32]) -> Option<Vec<RecipientState>> {
    use pb::RecipientState as Given;
    let parsed = values(violations, "states", states, |value| match Given::try_from(value).ok()? {
        Given::Unspecified => None,
        Given::Open => Some(RecipientState::Open),
        Given::Accepted => Some(RecipientState::Accepted),
        Given::Declined => Some(RecipientState::Declined),
        Given::Removed => Some(RecipientState::Removed),
    });
    (!states.is_empty()).then_some(parsed)
}

/// Parses `states` of acceptances.
pub(in crate::api) fn acceptance_states(violations: &mut Violations, states: &[i32]) -> Vec<AcceptanceState> {
    use pb::AcceptanceState as Given;
    values(violations, "states", states, |value| match Given::try_from(value).ok()? {
        Given::Unspecified => None,
        Given::Active => Some(AcceptanceState::Active),
        Given::Expired => Some(AcceptanceState::Expired),
        Given::Released => Some(AcceptanceState::Released),
        Given::Ended => Some(AcceptanceState::Ended),
    })
}

/// Parses a reference to an address.
pub(in crate::api) fn target(
    violations: &mut Violations,
    field: &str,
    target: Option<&pb::TargetRef>,
) -> Option<Address> {
    let target = target?;
    let value = format!("{field}.value");
    match violations.take(format!("{field}.type"), address_type(target.r#type)) {
        None => {
            // The parser of an address depends on its type; a text that no type allows is reported together with the
            // type.
            violations.required(&value, &target.value, text::free_text);
            None
        }
        Some(address_type) => violations.required(&value, &target.value, |value| Address::parse(address_type, value)),
    }
}
