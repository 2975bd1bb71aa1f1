//! The text of the load, composed of the parts that a group needs.

use sea_orm::DbBackend;
use sea_orm::sea_query::ColumnType::{Integer, Text, Uuid as UuidType};

use super::quotas::{quota_body, quota_key_columns};
use super::search::{found, open_search_columns};
use super::seats::{is_scope_of, scope_body, scope_key_columns, scope_of_invitation, seat_key_columns};
use super::{Extent, invitation_body, newest_acceptances, text};
use crate::store::sql::entity::{acceptance, outbox, request, seat, slot, suppression};
use crate::store::sql::rows_param::{Columns, by_index, clock, nil_uuid, statement_clock};
use crate::store::sql::texts::{Layout, StatementPart};

/// The parts of a load: sets of keys, and what is read besides for them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(in crate::store) enum LoadPart {
    /// The invitations to read.
    Invitations,
    /// The requests to look up, with their invitations and acceptances.
    Requests,
    /// The slots, with the invitations that hold them.
    Slots,
    /// The open invitations to search for.
    Searches,
    /// The messages, with their invitations.
    Messages,
    /// Acceptances by their subjects.
    BySubject,
    /// Acceptances by their ids.
    ById,
    /// Acceptances by the connections that they created.
    ByConnection,
    /// The newest acceptances of invitations.
    Newest,
    /// The counts of quotas.
    Quotas,
    /// The suppressions of addresses.
    Suppressions,
    /// The scopes that count their seats.
    Scopes,
    /// The seats of people.
    Seats,
}

impl LoadPart {
    /// All parts; their sets of keys are parameters in this order, followed by the clock and, with searches, by the number of
    /// entries that are searched for an address.
    pub(in crate::store) const ALL: &[Self] = &[
        Self::Invitations,
        Self::Requests,
        Self::Slots,
        Self::Searches,
        Self::Messages,
        Self::BySubject,
        Self::ById,
        Self::ByConnection,
        Self::Newest,
        Self::Quotas,
        Self::Suppressions,
        Self::Scopes,
        Self::Seats,
    ];
}

impl StatementPart for LoadPart {
    fn columns(self) -> Option<Columns> {
        match self {
            Self::Invitations => Some(invitation_key_columns()),
            Self::Requests => Some(request_key_columns()),
            Self::Slots => Some(slot_key_columns()),
            Self::Searches => Some(open_search_columns()),
            Self::Messages => Some(message_key_columns()),
            Self::Quotas => Some(quota_key_columns()),
            Self::Suppressions => Some(suppression_key_columns()),
            Self::Scopes => Some(scope_key_columns()),
            Self::Seats => Some(seat_key_columns()),
            Self::BySubject | Self::ById | Self::ByConnection | Self::Newest => None,
        }
    }
}

pub(super) fn invitation_key_columns() -> Columns {
    let columns = Columns::list([("account_id", Text), ("invitation_id", UuidType), ("newest", Integer)]);
    columns.and_nullable([("subject", Text), ("acceptance_id", UuidType), ("connection_id", UuidType)])
}

pub(super) fn request_key_columns() -> Columns {
    Columns::list([("account_id", Text), ("method", Text), ("request_id", Text)])
}

pub(super) fn slot_key_columns() -> Columns {
    Columns::list([("account_id", Text), ("key", Text)])
}

pub(super) fn suppression_key_columns() -> Columns {
    Columns::list([("account_id", Text), ("address_key", Text)])
}

pub(super) fn message_key_columns() -> Columns {
    Columns::list([("account_id", Text), ("id", UuidType), ("recipients", Integer)])
}

/// Returns the text of a load of some parts.
pub(in crate::store) fn load_sql(backend: DbBackend, parts: &[LoadPart]) -> String {
    let layout = Layout { backend, parts };
    let clock_at = layout.first(None);
    let (mut with, needed) = sources(&layout);
    let mut rows = vec![format!("SELECT {} AS now, 'now' AS tag, NULL AS body", clock(backend, clock_at))];
    let mut row = |tag: &str, body: &str, from: &str| rows.push(format!("SELECT 0, '{tag}', {body} FROM {from}"));
    if !needed.is_empty() {
        with.push(format!(
            "ids AS (SELECT account_id, invitation_id, max(newest) AS newest, max(recipients) AS recipients FROM ({}) needed
            GROUP BY account_id, invitation_id)",
            needed.join(" UNION ALL ")
        ));
        let newest = format!("CASE WHEN ids.newest = 1 THEN {} END", newest_acceptances(backend));
        let has_newest = layout.has(LoadPart::Newest) || layout.has(LoadPart::Requests);
        let wide = if layout.has(LoadPart::Messages) { "ids.recipients = 1" } else { "true" };
        let acceptances = if has_newest { &*newest } else { "NULL" };
        let scope = scope_of_invitation(backend, &statement_clock(backend, clock_at));
        let scope = Some(scope.as_str());
        let extent = Extent { recipients: wide, first_recipients: None, messages: wide, acceptances, scope };
        let invitation = "ids JOIN invitation i ON i.account_id = ids.account_id AND i.id = ids.invitation_id";
        row("invitation", &invitation_body(backend, &extent), invitation);
    }
    let acceptance = text(backend, &Columns::of::<acceptance::Entity>().json_of(backend, "a"));
    for (part, condition) in [
        (
            LoadPart::BySubject,
            format!(
                "{} AND a.subject = w.subject AND a.undone_id = {}",
                by_index(backend, "subject", "a", "w.account_id"),
                nil_uuid(backend)
            ),
        ),
        (LoadPart::ById, "a.account_id = w.account_id AND a.id = w.acceptance_id".to_owned()),
        (
            LoadPart::ByConnection,
            format!(
                "{} AND a.created_connection_id = w.connection_id",
                by_index(backend, "connection", "a", "w.account_id")
            ),
        ),
    ] {
        if layout.has(part) {
            let of_wanted = format!("wanted w JOIN acceptance a ON {condition} AND a.invitation_id = w.invitation_id");
            row("acceptance", &acceptance, &of_wanted);
        }
    }
    let seat = text(backend, &Columns::of::<seat::Entity>().json_of(backend, "t"));
    if layout.has(LoadPart::BySubject) {
        // Most people have no seat anywhere, so nothing else is looked up for them.
        let of_subject = format!(
            "wanted w JOIN seat t ON {} AND t.subject = w.subject
            JOIN scope_settings s ON s.account_id = t.account_id AND s.id = t.scope_uid
            JOIN invitation i ON i.account_id = w.account_id AND i.id = w.invitation_id
                AND i.scope_type = s.scope_type AND i.scope_id = s.scope_id",
            by_index(backend, "subject", "t", "w.account_id")
        );
        row("seat", &seat, &of_subject);
    }
    if layout.has(LoadPart::Requests) {
        let of_remembered =
            "remembered q JOIN acceptance a ON a.account_id = q.account_id AND a.invitation_id = q.invitation_id
            AND a.id = q.acceptance_id";
        row("acceptance", &acceptance, of_remembered);
        row("request", &text(backend, &Columns::of::<request::Entity>().json_of(backend, "q")), "remembered q");
    }
    if layout.has(LoadPart::Messages) {
        row("delivery", &text(backend, &Columns::of::<outbox::Entity>().json_of(backend, "o")), "message o");
    }
    if layout.has(LoadPart::Slots) {
        row("slot", &text(backend, &Columns::of::<slot::Entity>().json_of(backend, "s")), "held s");
    }
    if layout.has(LoadPart::Searches) {
        let found = found(backend, &statement_clock(backend, clock_at), clock_at + 1);
        row("found", &found, &layout.keys(LoadPart::Searches, "k"));
    }
    if layout.has(LoadPart::Quotas) {
        let counts = format!(
            "{} LEFT JOIN quota q ON q.account_id = k.account_id AND q.key = k.key",
            layout.keys(LoadPart::Quotas, "k")
        );
        row("quota", &quota_body(backend, &statement_clock(backend, clock_at)), &counts);
    }
    if layout.has(LoadPart::Suppressions) {
        let suppressed =
            format!("{} JOIN suppression s ON {}", layout.keys(LoadPart::Suppressions, "k"), is_found(backend, "k"));
        row("suppression", &text(backend, &Columns::of::<suppression::Entity>().json_of(backend, "s")), &suppressed);
    }
    if layout.has(LoadPart::Scopes) {
        let scopes =
            format!("{} JOIN scope_settings s ON {}", layout.keys(LoadPart::Scopes, "k"), is_scope_of(backend, "k"));
        let body = text(backend, &scope_body(backend, &statement_clock(backend, clock_at), None));
        row("scope", &body, &scopes);
    }
    if layout.has(LoadPart::Seats) {
        let seats = format!(
            "{} JOIN seat t ON t.account_id = k.account_id AND t.scope_uid = k.scope_uid AND t.subject = k.subject",
            layout.keys(LoadPart::Seats, "k")
        );
        row("seat", &seat, &seats);
    }
    let with = if with.is_empty() { String::new() } else { format!("WITH {} ", with.join(",\n")) };
    format!("{with}{}", rows.join(" UNION ALL "))
}

/// Returns the condition under which suppression `s` is that of the address with a key.
pub(in crate::store) fn is_found(backend: DbBackend, key: &str) -> String {
    let own = by_index(backend, "address", "s", &format!("{key}.account_id"));
    format!("{own} AND s.address_key = {key}.address_key")
}

/// Returns the tables of the keys and of what they lead to, and the invitations that each of them needs.
fn sources(layout: &Layout<'_, LoadPart>) -> (Vec<String>, Vec<&'static str>) {
    let (mut with, mut needed) = (Vec::new(), Vec::new());
    if layout.has(LoadPart::Invitations) {
        with.push(format!("wanted AS MATERIALIZED (SELECT * FROM {})", layout.keys(LoadPart::Invitations, "w")));
        needed.push("SELECT account_id, invitation_id, newest, 1 AS recipients FROM wanted");
    }
    if layout.has(LoadPart::Requests) {
        with.push(format!(
            "remembered AS MATERIALIZED (SELECT {} FROM {} JOIN request q ON q.account_id = k.account_id
                AND q.method = k.method AND q.request_id = k.request_id)",
            Columns::of::<request::Entity>().names_of("q"),
            layout.keys(LoadPart::Requests, "k"),
        ));
        needed.push("SELECT account_id, invitation_id, 1 AS newest, 1 AS recipients FROM remembered");
    }
    if layout.has(LoadPart::Slots) {
        with.push(format!(
            "held AS MATERIALIZED (SELECT {} FROM {} JOIN slot s ON s.account_id = k.account_id AND s.key = k.key)",
            Columns::of::<slot::Entity>().names_of("s"),
            layout.keys(LoadPart::Slots, "k"),
        ));
        needed.push("SELECT account_id, invitation_id, 0 AS newest, 1 AS recipients FROM held");
    }
    if layout.has(LoadPart::Messages) {
        with.push(format!(
            "message AS MATERIALIZED (SELECT {}, k.recipients FROM {}
                JOIN outbox o ON o.account_id = k.account_id AND o.id = k.id)",
            Columns::of::<outbox::Entity>().names_of("o"),
            layout.keys(LoadPart::Messages, "k"),
        ));
        needed.push("SELECT account_id, invitation_id, 0 AS newest, recipients FROM message");
    }
    (with, needed)
}
