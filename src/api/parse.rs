//! From messages to commands and queries. Every violation of a request is collected.

pub(super) mod acceptor;
pub(super) mod expiration;
pub(super) mod field_mask;
pub(super) mod filter;
pub(super) mod invitation_filter;
pub(super) mod json;
pub(super) mod kind_input;
pub(super) mod on_conflict;
pub(super) mod page;
pub(super) mod resend;
pub(super) mod shared;
pub(super) mod update;
pub(super) mod violations;

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use crate::domain::value::email::Email;
use crate::domain::value::rule::{FieldRule, Invalid};
use crate::domain::value::text;
use crate::domain::value::time::{Timestamp, Ttl};
use crate::store::TimeRange;
use violations::Violations;

const MAX_EMAILS: usize = 1_000;
/// The most labels of a filter.
const MAX_FILTER_LABELS: usize = 8;
const MAX_ROLES: usize = 50;

/// Parses a time to live; an absent one is `None`.
pub(crate) fn ttl(violations: &mut Violations, field: &str, ttl: Option<prost_types::Duration>) -> Option<Ttl> {
    time_to_live(violations, (field, ttl), Ttl::parse)
}

/// Parses the time for which an acceptance counts; an absent one is `None`.
pub(crate) fn grant_ttl(violations: &mut Violations, field: &str, ttl: Option<prost_types::Duration>) -> Option<Ttl> {
    time_to_live(violations, (field, ttl), Ttl::parse_grant)
}

fn time_to_live(
    violations: &mut Violations,
    (field, ttl): (&str, Option<prost_types::Duration>),
    rule: impl Fn(Duration) -> Result<Ttl, Invalid>,
) -> Option<Ttl> {
    // The conversion of prost-types is not used, since it takes fields that the well-known type forbids and panics at
    // some others.
    let span = |ttl: prost_types::Duration| {
        let nanos = u32::try_from(ttl.nanos).ok().filter(|nanos| *nanos < 1_000_000_000)?;
        Some(Duration::new(u64::try_from(ttl.seconds).ok()?, nanos))
    };
    let parse =
        |ttl| span(ttl).ok_or(Invalid::new(FieldRule::OutOfRange, "must be a positive duration")).and_then(&rule);
    violations.take(field, parse(ttl?))
}

/// Parses a moment; an absent one is `None`. Digits finer than a microsecond are cut off.
pub(crate) fn moment(
    violations: &mut Violations,
    field: &str,
    moment: Option<prost_types::Timestamp>,
) -> Option<Timestamp> {
    let moment = moment?;
    let nanos = u32::try_from(moment.nanos).ok().filter(|nanos| *nanos < 1_000_000_000);
    let micros = nanos.and_then(|nanos| moment.seconds.checked_mul(1_000_000)?.checked_add(i64::from(nanos / 1_000)));
    let known = micros.map(Timestamp::from_micros).filter(|moment| *moment <= Timestamp::MAX && moment.micros() >= 0);
    violations.take(
        field,
        known.ok_or(Invalid::new(FieldRule::OutOfRange, "must be a moment between the years 1970 and 9999")),
    )
}

/// Parses `start_time` and `end_time` of a span, in the message of this prefix; an absent one is no bound.
pub(crate) fn span(
    violations: &mut Violations,
    prefix: &str,
    start_time: Option<prost_types::Timestamp>,
    end_time: Option<prost_types::Timestamp>,
) -> TimeRange {
    let start = moment(violations, &format!("{prefix}start_time"), start_time);
    let field = format!("{prefix}end_time");
    let end = moment(violations, &field, end_time);
    if start.zip(end).is_some_and(|(start, end)| end <= start) {
        violations.add(field, FieldRule::Conflicts, "must be after start_time");
    }
    TimeRange { start, end }
}

/// Drops the values that repeat an earlier one: the same one twice in a list counts once.
pub(crate) fn keep_first<T: Ord + Clone>(values: &mut Vec<T>) {
    let mut known = BTreeSet::new();
    values.retain(|value| known.insert(value.clone()));
}

/// Refuses a new invitation that is archived.
pub(crate) fn check_not_archived(violations: &mut Violations, field: &str, archived: Option<bool>) {
    if archived == Some(true) {
        violations.add(field, FieldRule::NotAllowed, "must not be set: a new invitation is not archived");
    }
}

/// Parses roles.
pub(crate) fn roles(violations: &mut Violations, field: &str, values: &[String]) -> Vec<String> {
    let mut roles = violations.each(field, values, MAX_ROLES, text::opaque_id);
    keep_first(&mut roles);
    roles
}

/// Parses `max_uses`; an absent one is `None`.
pub(crate) fn max_uses(violations: &mut Violations, field: &str, max_uses: Option<i32>) -> Option<u32> {
    let parse = |max_uses| match u32::try_from(max_uses) {
        Ok(max_uses @ 1..) => Ok(max_uses),
        Ok(0) | Err(_) => Err(Invalid::new(FieldRule::OutOfRange, "must be at least 1")),
    };
    violations.take(field, parse(max_uses?))
}

/// Parses addresses that are invited; those that are equal after normalisation count once.
pub(crate) fn emails(violations: &mut Violations, field: &str, values: &[String]) -> Vec<Email> {
    let mut emails = violations.each_at(field, values, MAX_EMAILS, |violations, field, value| {
        let email = violations.take(field.as_str(), Email::parse(value))?;
        violations.invites(field, &email);
        Some(email)
    });
    let mut keys = BTreeSet::new();
    emails.retain(|email| keys.insert(email.key().to_owned()));
    emails
}

/// Parses labels.
pub(crate) fn labels(
    violations: &mut Violations,
    field: &str,
    labels: &BTreeMap<String, String>,
) -> BTreeMap<String, String> {
    limited_entries(violations, field, labels, text::label_value)
}

/// Parses the labels of a filter: each of them is a look-up of its own.
pub(crate) fn filter_labels(
    violations: &mut Violations,
    field: &str,
    labels: &BTreeMap<String, String>,
) -> BTreeMap<String, String> {
    if labels.len() > MAX_FILTER_LABELS {
        let description = format!("must have at most {MAX_FILTER_LABELS} entries");
        violations.add(field, FieldRule::TooMany, &description);
        return BTreeMap::new();
    }
    entries(violations, field, labels, text::label_value)
}

/// Parses the entries of a map that an invitation keeps.
pub(crate) fn limited_entries(
    violations: &mut Violations,
    field: &str,
    given: &BTreeMap<String, String>,
    value_rule: impl Fn(&str) -> Result<String, Invalid>,
) -> BTreeMap<String, String> {
    if given.len() > text::MAX_ENTRIES {
        violations.add(field, FieldRule::TooMany, "must have at most 64 entries");
        return BTreeMap::new();
    }
    entries(violations, field, given, value_rule)
}

/// Parses the entries of a map. A violation names the key, if it is one.
pub(crate) fn entries(
    violations: &mut Violations,
    field: &str,
    given: &BTreeMap<String, String>,
    value_rule: impl Fn(&str) -> Result<String, Invalid>,
) -> BTreeMap<String, String> {
    for (key, value) in given {
        if text::label_key(key).is_err() {
            violations.take(field, text::label_key(key));
        } else {
            violations.take(format!("{field}[{key:?}]"), value_rule(value));
        }
    }
    given.clone()
}
