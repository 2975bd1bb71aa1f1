//! The parts of the save that take the data of a person out of rows beside an invitation: slots, labels, events, messages.
//! [`ErasedRows::erase_event`](crate::domain::erasure::ErasedRows::erase_event) is the same rule for events that the save is
//! going to insert.

use sea_orm::DbBackend;
use sea_orm::sea_query::ColumnType::{Boolean, Text, Uuid as UuidType};

use super::Part;
use crate::domain::delivery::DeliveryState;
use crate::domain::erasure::{ERASED_ACTOR, ERASED_SUBJECT};
use crate::store::sql::rows_param::{Columns, by_index};
use crate::store::sql::texts::Layout;

/// The reason for which a message to a person who was erased is cancelled.
const ERASED: &str = "the recipient was erased";

/// The columns of an erasure. A list is a text with a line for each entry.
pub(super) fn erased_columns() -> Columns {
    let lists = [("recipients", Text), ("acceptances", Text), ("actors", Text), ("addresses", Text)];
    Columns::list([("account_id", Text), ("invitation_id", UuidType)])
        .and(lists)
        .and([("is_whole", Boolean), ("drops_words", Boolean)])
}

/// Deletes slots of invitations, unless another invitation has taken them over.
pub(super) fn release_slots(layout: &Layout<'_, Part>) -> String {
    let keys = layout.keys(Part::Freed, "r");
    format!(
        "DELETE FROM slot WHERE (account_id, key, invitation_id) IN (SELECT t.account_id, t.key, t.invitation_id FROM {keys}
            JOIN slot t ON t.account_id = r.account_id AND t.key = r.key AND t.invitation_id = r.invitation_id)"
    )
}

/// Deletes labels of invitations.
pub(super) fn remove_labels(layout: &Layout<'_, Part>) -> String {
    let keys = layout.keys(Part::Unlabelled, "r");
    format!(
        "DELETE FROM label WHERE (account_id, invitation_id, key) IN (SELECT t.account_id, t.invitation_id, t.key FROM {keys}
            JOIN label t ON t.account_id = r.account_id AND t.invitation_id = r.invitation_id AND t.key = r.key)"
    )
}

/// Takes a person out of the events of an invitation, as far as anything of theirs is in them.
pub(super) fn erase_events(layout: &Layout<'_, Part>) -> String {
    let dialect = Dialect(layout.backend);
    let (recipient, acceptance) =
        (dialect.text("payload", Some("recipient")), dialect.text("payload", Some("acceptance")));
    let subject = dialect.text("payload", Some("subject"));
    let is_actor = dialect.is_listed("e.actor", "r.actors");
    let is_person = format!("coalesce({}, false)", dialect.is_listed(&acceptance, "r.acceptances"));
    let is_recipient = format!("coalesce({}, false)", dialect.is_listed(&recipient, "r.recipients"));
    let is_mine = format!("(r.is_whole OR {is_actor} OR {is_recipient} OR {is_person})");
    // Words that an update has changed may name anybody.
    let stored = dialect.without("e.data", &[&["payload", "words"]]);
    let without_words = dialect.without(&stored, &[&["payload", "reason"], &["payload", "detail"]]);
    let with_mark = dialect.with_subject(&without_words, &format!("'{ERASED_SUBJECT}' || {acceptance}"));
    let mine = format!(
        "CASE WHEN {is_mine} AND {is_person} AND {subject} IS NOT NULL THEN {with_mark}
            WHEN {is_mine} THEN {without_words} ELSE {stored} END"
    );
    let data = dialect.without(&format!("({mine})"), &[&["pass_through"], &["scope", "display_name"]]);
    let has = |condition: &str, texts: &[String]| {
        let any = texts.iter().map(|text| format!("{text} IS NOT NULL")).collect::<Vec<_>>().join(" OR ");
        format!("{condition} AND ({any})")
    };
    let words = [dialect.text("pass_through", None), dialect.text("scope", Some("display_name"))];
    let personal = ["reason", "detail"].map(|field| dialect.text("payload", Some(field)));
    format!(
        "UPDATE event AS e SET actor = CASE WHEN {is_actor} THEN '{ERASED_ACTOR}' ELSE e.actor END,
            request_id = CASE WHEN {is_mine} AND e.request_id LIKE '%@%' THEN NULL ELSE e.request_id END,
            data = CASE WHEN r.drops_words THEN {data} ELSE {mine} END
        FROM {keys} WHERE e.account_id = r.account_id AND e.invitation_id = r.invitation_id
            AND ({is_actor} OR {is_person} OR {has_personal} OR {has_words} OR {changed} IS NOT NULL OR {is_mine} AND e.request_id LIKE '%@%')",
        keys = layout.keys(Part::ErasedEvents, "r"),
        has_personal = has(&is_mine, &personal),
        has_words = has("r.drops_words", &words),
        changed = dialect.text("payload", Some("words")),
    )
}

/// Takes an address out of the messages of an invitation, and cancels those to the person that are not sent yet. One that is being
/// sent is left to the worker that sends it.
pub(super) fn erase_messages(layout: &Layout<'_, Part>) -> String {
    let dialect = Dialect(layout.backend);
    let has_address = format!("coalesce({}, false)", dialect.is_listed("o.address_key", "r.addresses"));
    let is_recipient = dialect.is_listed("CAST(o.recipient AS text)", "r.recipients");
    let waits = format!("o.state || '' = '{}' AND o.lease IS NULL", DeliveryState::Queued.code());
    format!(
        "UPDATE outbox AS o SET address = CASE WHEN {has_address} THEN NULL ELSE o.address END,
            address_key = CASE WHEN {has_address} THEN NULL ELSE o.address_key END,
            state = CASE WHEN {waits} THEN '{cancelled}' ELSE o.state END,
            due_at = CASE WHEN {waits} THEN NULL ELSE o.due_at END,
            planned_at = CASE WHEN {waits} THEN NULL ELSE o.planned_at END,
            last_error = CASE WHEN {waits} THEN '{ERASED}' WHEN o.state || '' = '{cancelled}' THEN o.last_error END
        FROM {keys} WHERE {by_invitation} AND o.invitation_id = r.invitation_id AND ({has_address} OR {is_recipient})",
        keys = layout.keys(Part::ErasedMessages, "r"),
        by_invitation = by_index(layout.backend, "invitation", "o", "r.account_id"),
        cancelled = DeliveryState::Cancelled.code(),
    )
}

/// The words of a database for JSON and for lists.
struct Dialect(DbBackend);

impl Dialect {
    fn is_postgres(&self) -> bool {
        self.0 == DbBackend::Postgres
    }

    /// Returns the condition that a text is an entry of a list.
    fn is_listed(&self, text: &str, list: &str) -> String {
        if self.is_postgres() {
            format!("strpos({list}, chr(10) || {text} || chr(10)) > 0")
        } else {
            format!("instr({list}, char(10) || {text} || char(10)) > 0")
        }
    }

    /// Returns an expression for a field of an event's data as a text, NULL if there is none.
    fn text(&self, field: &str, inner: Option<&str>) -> String {
        match (self.is_postgres(), inner) {
            (true, None) => format!("(e.data ->> '{field}')"),
            (true, Some(inner)) => format!("(e.data #>> '{{{field},{inner}}}')"),
            (false, None) => format!("json_extract(e.data, '$.{field}')"),
            (false, Some(inner)) => format!("json_extract(e.data, '$.{field}.{inner}')"),
        }
    }

    /// Returns an expression for JSON without some fields, each given by its path.
    fn without(&self, json: &str, paths: &[&[&str]]) -> String {
        if self.is_postgres() {
            let removed = paths.iter().map(|path| format!(" #- '{{{}}}'", path.join(","))).collect::<String>();
            return format!("({json}{removed})");
        }
        let paths = paths.iter().map(|path| format!("'$.{}'", path.join("."))).collect::<Vec<_>>().join(", ");
        format!("json_remove({json}, {paths})")
    }

    /// Returns an expression for JSON with another subject in the content of an event.
    fn with_subject(&self, json: &str, subject: &str) -> String {
        if self.is_postgres() {
            format!("jsonb_set({json}, '{{payload,subject}}', to_jsonb({subject}))")
        } else {
            format!("json_set({json}, '$.payload.subject', {subject})")
        }
    }
}
