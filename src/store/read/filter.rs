//! The filters of lists in SQL.

use sea_orm::DbBackend;

use super::query::{GuestStatus, InvitationQuery, TimeRange};
use super::source::Source;
use super::{ACCOUNT, CLOCK, Params, within};
use crate::domain::invitation::recipient::AddressType;
use crate::domain::invitation::state::State;
use crate::domain::kind::general::Usage;
use crate::domain::kind::{Kind, Scope};
use crate::domain::reach::Reach;
use crate::store::sql::rows_param::{by_index, statement_clock};

/// Returns the conditions of invitation `i` beyond those of its source. PostgreSQL evaluates a subselect that is
/// compared for each row, and never turns it into a join, for which it might read all rows of the account.
pub(super) fn conditions(
    backend: DbBackend,
    (reach, query): (&Reach, &InvitationQuery),
    source: Source<'_>,
    params: &mut Params,
) -> Vec<String> {
    let mut all: Vec<String> = kinds(&query.kinds).into_iter().collect();
    all.extend(standing(backend, query));
    all.extend(query.scope.as_ref().and_then(|scope| in_scope(scope, source, params)));
    let columns = [
        ("creator", &query.creator),
        ("inviter_user_id", &query.inviter_user_id),
        ("widget_configuration_id", &query.widget_configuration_id),
    ];
    for (column, value) in columns {
        all.extend(value.as_ref().map(|value| format!("i.{column} = {}", params.push(value.as_str()))));
    }
    all.extend(details(backend, query, params));
    all.extend(in_range("i.created_at", query.created, params));
    all.extend(in_range("i.expire_at", query.expires, params));
    all.extend(query.resource_id.map(|resource_id| format!("i.resource_id = {}", params.push(resource_id))));
    all.extend(within(reach, params));
    all.extend(addresses(backend, query, source, params));
    let others = query.labels.iter().filter(|(key, _)| !matches!(source, Source::Label(own, _) if own == key.as_str()));
    all.extend(labels(others.collect(), params));
    all
}

/// Returns the condition for several labels: one, since each subselect of a statement takes its time to be planned.
fn labels(wanted: Vec<(&String, &String)>, params: &mut Params) -> Option<String> {
    let pair = |(key, value): &(&String, &String)| {
        format!("l.key = {} AND l.value = {}", params.push(key.as_str()), params.push(value.as_str()))
    };
    let pairs: Vec<_> = wanted.iter().map(pair).collect();
    (!pairs.is_empty()).then(|| {
        format!(
            "(SELECT count(*) FROM label l WHERE l.account_id = {ACCOUNT} AND l.invitation_id = i.id AND ({})) = {}",
            pairs.join(" OR "),
            pairs.len()
        )
    })
}

/// Returns the condition for kinds, as literals, so that indexes of one kind fit.
fn kinds(kinds: &[Kind]) -> Option<String> {
    match kinds {
        [] => None,
        [kind] => Some(format!("i.kind = '{}'", kind.code())),
        kinds => {
            let codes = kinds.iter().map(|kind| format!("'{}'", kind.code()));
            Some(format!("i.kind IN ({})", codes.collect::<Vec<_>>().join(", ")))
        }
    }
}

/// Returns the conditions that follow from facts.
fn standing(backend: DbBackend, query: &InvitationQuery) -> Vec<String> {
    let now = statement_clock(backend, CLOCK);
    let mut all = Vec::new();
    if !query.states.is_empty() {
        all.push(any(query.states.iter().map(|state| state_sql(*state, &now))));
    }
    if !query.guest_statuses.is_empty() {
        all.push(any(query.guest_statuses.iter().map(|status| guest_status_sql(backend, *status))));
    }
    let not = |holds: bool| if holds { "" } else { "NOT " };
    all.extend(query.archived.map(|archived| format!("{}(i.archived_at IS NOT NULL)", not(archived))));
    all.extend(query.expired.map(|expired| format!("{}{}", not(expired), expired_sql(&now))));
    if !query.include_deleted {
        all.push("i.deleted_at IS NULL".to_owned());
    }
    all
}

/// Returns the conditions of a span, in which a column that is NULL never is.
pub(in crate::store) fn in_range(column: &str, range: TimeRange, params: &mut Params) -> Vec<String> {
    let ends = [(">=", range.start), ("<", range.end)];
    let ends = ends.into_iter().filter_map(|(compare, end)| Some((compare, end?.micros())));
    ends.map(|(compare, end)| format!("{column} {compare} {}", params.push(end))).collect()
}

/// Returns the conditions for fields that are stored in the details alone.
fn details(backend: DbBackend, query: &InvitationQuery, params: &mut Params) -> Vec<String> {
    let mut all = Vec::new();
    if !query.usages.is_empty() {
        all.push(any(query.usages.iter().map(|usage| usage_sql(*usage).to_owned())));
    }
    let parent = query.parent_organization_id.map(|parent| parent.to_string());
    for (field, value) in [("subtype", &query.subtype), ("parent_organization_id", &parent)] {
        all.extend(value.as_ref().map(|value| format!("i.details->>'{field}' = {}", params.push(value.as_str()))));
    }
    all.extend(query.role.as_ref().map(|role| {
        let role = params.push(role.as_str());
        if backend == DbBackend::Postgres {
            format!("jsonb_exists(i.details->'roles', {role})")
        } else {
            format!("EXISTS (SELECT 1 FROM json_each(i.details, '$.roles') role WHERE role.value = {role})")
        }
    }));
    all
}

/// Returns the condition for a usage. Kinds other than the general one have it from the number of uses.
fn usage_sql(usage: Usage) -> &'static str {
    match usage {
        Usage::SingleUse => {
            "(CASE i.kind WHEN 'general' THEN i.details->>'usage' = 'single_use' ELSE coalesce(i.max_uses, 0) = 1 END)"
        }
        Usage::MultiUse => {
            "(CASE i.kind WHEN 'general' THEN i.details->>'usage' = 'multi_use' ELSE coalesce(i.max_uses, 0) <> 1 END)"
        }
        Usage::Autojoin => "(i.kind = 'general' AND i.details->>'usage' = 'autojoin')",
    }
}

fn any(conditions: impl Iterator<Item = String>) -> String {
    format!("({})", conditions.collect::<Vec<_>>().join(" OR "))
}

fn in_scope(scope: &Scope, source: Source<'_>, params: &mut Params) -> Option<String> {
    if source.is_in_scope() {
        return None;
    }
    let (kind, id) = (params.push(scope.scope_type.as_str()), params.push(scope.id.as_str()));
    let own = format!("i.scope_type = {kind} AND i.scope_id = {id}");
    Some(format!(
        "({own} OR (SELECT true FROM invitation_group g WHERE g.account_id = {ACCOUNT} AND g.scope_type = {kind}
            AND g.scope_id = {id} AND g.created_at = i.created_at AND g.invitation_id = i.id LIMIT 1))"
    ))
}

fn addresses(backend: DbBackend, query: &InvitationQuery, source: Source<'_>, params: &mut Params) -> Vec<String> {
    let mut all = Vec::new();
    if let Some(target) = query.target.as_ref().filter(|_| !matches!(source, Source::Recipient { .. })) {
        all.push(format!(
            "(SELECT true FROM recipient r WHERE r.account_id = {ACCOUNT} AND r.invitation_id = i.id
                AND r.recipient_type = '{}' AND r.value = {} LIMIT 1)",
            target.address_type().code(),
            params.push(target.key()),
        ));
    }
    if let Some(prefix) = query.email_prefix.as_deref().filter(|prefix| !prefix.is_empty()) {
        all.push(email_prefix(backend, prefix, params));
    }
    if let Some(part) = &query.email_query {
        let position = if backend == DbBackend::Postgres { "strpos" } else { "instr" };
        // An expression instead of the plain column keeps PostgreSQL from looking for an invitation's addresses by their type.
        all.push(format!(
            "(SELECT true FROM recipient r WHERE r.account_id = {ACCOUNT} AND r.invitation_id = i.id
                AND r.recipient_type || '' = 'email' AND {position}(r.value, {}) > 0 LIMIT 1)",
            params.push(part.as_str()),
        ));
    }
    all
}

/// Returns a range, since a statement that is planned once for all prefixes cannot use an index for LIKE. The addresses
/// with the prefix are read first instead of the whole list, which PostgreSQL would prefer if it knew that they may be
/// more than ten.
fn email_prefix(backend: DbBackend, prefix: &str, params: &mut Params) -> String {
    let mut range = format!("r.value >= {}", params.push(prefix));
    if let Some(end) = end_of_prefix(prefix) {
        range += &format!(" AND r.value < {}", params.push(end));
    }
    let ids = format!(
        "(SELECT r.invitation_id FROM recipient r
            WHERE {own} AND r.recipient_type = 'email' AND {range})",
        own = by_index(backend, "address", "r", ACCOUNT)
    );
    if backend == DbBackend::Postgres { format!("i.id = ANY (ARRAY {ids})") } else { format!("i.id IN {ids}") }
}

/// Returns the first text, by bytes, behind all that begin with `prefix`; `None` if there is none.
fn end_of_prefix(prefix: &str) -> Option<String> {
    let mut end: Vec<char> = prefix.chars().collect();
    while let Some(last) = end.pop() {
        // A range of characters leaves out the surrogates, which are no characters.
        if let Some(next) = (last..=char::MAX).nth(1) {
            end.push(next);
            return Some(end.into_iter().collect());
        }
    }
    None
}

/// Returns the condition for a recipient who was not removed, as `Recipient::is_removed` has it.
pub(in crate::store) fn present_recipient_sql(alias: &str) -> String {
    format!("{alias}.recipient_type <> '{}'", AddressType::Removed.code())
}

/// Returns [`crate::domain::invitation::state::Facts::state_at`] in SQL; a test compares the two over all combinations
/// of facts.
pub(in crate::store) fn state_sql(state: State, now: &str) -> String {
    let revoked = "(i.revoked_at IS NOT NULL OR i.emptied_at IS NOT NULL)";
    let open = "i.revoked_at IS NULL AND i.emptied_at IS NULL AND i.declined_at IS NULL";
    let fulfilled = "((i.max_uses IS NOT NULL AND i.use_count >= i.max_uses) OR i.accepted_elsewhere_at IS NOT NULL)";
    let expired = expired_sql(now);
    match state {
        State::Revoked => revoked.to_owned(),
        State::Declined => format!("(NOT {revoked} AND i.declined_at IS NOT NULL)"),
        State::Fulfilled => format!("({open} AND {fulfilled})"),
        State::Expired => format!("({open} AND NOT {fulfilled} AND {expired})"),
        State::Active => format!("({open} AND NOT {fulfilled} AND NOT {expired})"),
    }
}

/// Returns [`crate::domain::invitation::state::Facts::expired_at`] in SQL.
fn expired_sql(now: &str) -> String {
    format!("(i.expire_at IS NOT NULL AND i.expire_at <= {now})")
}

fn guest_status_sql(backend: DbBackend, status: GuestStatus) -> String {
    let by_system = if backend == DbBackend::Postgres {
        "coalesce(i.details->'accepted'->>'by_system', 'false') = 'true'"
    } else {
        "coalesce(i.details->'accepted'->>'by_system', 0) = 1"
    };
    match status {
        GuestStatus::Sent => "i.use_count = 0".to_owned(),
        GuestStatus::AcceptedByGuest => format!("(i.use_count > 0 AND NOT ({by_system}))"),
        GuestStatus::AcceptedBySystem => format!("(i.use_count > 0 AND {by_system})"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn prefix_range_has_what_begins_with_it_and_nothing_else() {
        for (prefix, end) in [
            ("a", Some("b")),
            ("jane@", Some("janeA")),
            ("a%", Some("a&")),
            ("ä", Some("å")),
            ("\u{7f}", Some("\u{80}")),
            ("\u{d7ff}", Some("\u{e000}")),
            ("a\u{10ffff}", Some("b")),
            ("\u{10ffff}", None),
            ("", None),
        ] {
            assert_eq!(end_of_prefix(prefix).as_deref(), end, "{prefix:?}");
            if let Some(end) = end {
                let longest = format!("{prefix}\u{10ffff}\u{10ffff}");
                assert!(longest.as_str() < end && !end.starts_with(prefix), "{prefix:?}");
            }
        }
    }
}
