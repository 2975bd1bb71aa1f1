//! The filter that chooses invitations of every kind, and how much of each a list shows.

use super::filter;
use super::violations::Violations;
use super::{filter_labels, span};
use crate::domain::kind::general::Usage;
use crate::domain::value::rule::{FieldRule, Invalid};
use crate::domain::value::text;
use crate::pb;
use crate::store::{InvitationQuery, TimeRange};

/// The number of targets of each invitation in the view BASIC.
pub(in crate::api) const BASIC_TARGETS: u32 = 10;

/// Parses a filter; an absent one is that of all invitations.
pub(in crate::api) fn invitation_filter(
    violations: &mut Violations,
    filter: Option<&pb::InvitationFilter>,
) -> InvitationQuery {
    let empty = pb::InvitationFilter::default();
    let given = filter.unwrap_or(&empty);
    let inviter = &given.inviter_user_id;
    let widget = &given.widget_configuration_id;
    InvitationQuery {
        kinds: filter::kinds(violations, "filter.kinds", &given.kinds),
        states: filter::states(violations, "filter.states", &given.states),
        scope: filter::scope(violations, "filter.scope", given.scope.as_ref()),
        target: filter::target(violations, "filter.target", given.target.as_ref()),
        inviter_user_id: violations.optional("filter.inviter_user_id", inviter, text::opaque_id),
        creator: violations.optional("filter.creator", &given.creator, text::opaque_id),
        labels: filter_labels(violations, "filter.labels", &given.labels),
        usages: usages(violations, &given.invitation_types),
        archived: given.archived,
        widget_configuration_id: violations.optional("filter.widget_configuration_id", widget, text::opaque_id),
        subtype: violations.optional("filter.subtype", &given.subtype, text::free_text),
        created: time_range(violations, "filter.create_time", given.create_time.as_ref()),
        expires: time_range(violations, "filter.expire_time", given.expire_time.as_ref()),
        include_deleted: true,
        ..InvitationQuery::default()
    }
}

fn usages(violations: &mut Violations, types: &[i32]) -> Vec<Usage> {
    use pb::InvitationType as Given;
    filter::values(violations, "filter.invitation_types", types, |value| match Given::try_from(value).ok()? {
        Given::Unspecified => None,
        Given::SingleUse => Some(Usage::SingleUse),
        Given::MultiUse => Some(Usage::MultiUse),
        Given::Autojoin => Some(Usage::Autojoin),
    })
}

/// Parses a span of time; an absent one has no end.
pub(in crate::api) fn time_range(violations: &mut Violations, field: &str, range: Option<&pb::TimeRange>) -> TimeRange {
    let Some(range) = range else { return TimeRange::default() };
    if range.start_time.is_none() && range.end_time.is_none() {
        violations.add(field, FieldRule::Required, "must have a start_time or an end_time");
    }
    span(violations, &format!("{field}."), range.start_time, range.end_time)
}

/// Parses `view`: BASIC, unless it is FULL.
pub(in crate::api) fn view(violations: &mut Violations, view: i32) -> pb::InvitationView {
    let view = match pb::InvitationView::try_from(view) {
        Ok(pb::InvitationView::Unspecified) => Ok(pb::InvitationView::Basic),
        Ok(known) => Ok(known),
        Err(_) => Err(Invalid::new(FieldRule::UnknownValue, "must be a known value")),
    };
    violations.take("view", view).unwrap_or(pb::InvitationView::Basic)
}

/// Returns the most targets of each invitation in a view; `None` for all.
pub(in crate::api) fn targets_in(view: pb::InvitationView) -> Option<u32> {
    (view != pb::InvitationView::Full).then_some(BASIC_TARGETS)
}
