//! All rows of a database as lines of text, from the database itself and from the model.

use std::collections::{BTreeMap, BTreeSet};

use invitation_service::domain::invitation::recipient::Recipient;
use invitation_service::domain::kind::Details;
use invitation_service::domain::value::time::Timestamp;
use sea_orm::{ConnectionTrait, DatabaseConnection, DbBackend, Statement};
use serde_json::Value;
use uuid::Uuid;

use super::model::{Message, Model};
use super::webhooks::Posted;

/// The lines of each table.
pub(super) type Rows = BTreeMap<&'static str, BTreeSet<String>>;

/// Tables with their columns; a column's first character is its type: text, number, id, boolean, JSON.
const TABLES: [(&str, &str); 18] = [
    (
        "invitation",
        "t:account_id i:id t:kind t:creator t:updater n:max_uses n:use_count n:revision n:generation n:key_id n:expire_at
        n:accepted_at n:declined_at n:revoked_at n:accepted_elsewhere_at n:emptied_at n:archived_at n:deleted_at
        n:expiry_told_at n:first_sent_at n:last_sent_at n:created_at n:updated_at j:details",
    ),
    ("recipient", "t:account_id i:invitation_id n:ordinal t:recipient_type t:value n:accepted_at n:declined_at"),
    ("label", "t:account_id i:invitation_id t:key t:value"),
    (
        "acceptance",
        "t:account_id i:invitation_id i:id t:subject n:recipient i:created_connection_id n:accepted_at i:undone_id
        n:released_at n:grant_expire_at n:grant_told_at",
    ),
    ("engagement", "t:account_id i:invitation_id n:views n:clicks n:unfurls n:last_sequence"),
    (
        "event",
        "t:account_id i:invitation_id n:sequence i:id t:event_type n:occurred_at t:actor t:request_id n:position j:data",
    ),
    ("request", "t:account_id t:method t:request_id n:key_id t:mac i:invitation_id i:acceptance_id n:created_at"),
    // Versions only guard saves: a group that takes a slot twice counts once.
    ("slot", "t:account_id t:key i:invitation_id"),
    ("autojoin_domain", "t:account_id t:domain i:invitation_id"),
    (
        "outbox",
        "t:account_id i:id i:invitation_id n:recipient t:purpose t:state n:due_at n:planned_at i:lease n:attempts
        t:last_error n:sent_at n:created_at n:moment",
    ),
    (
        "suppression",
        "t:account_id i:id t:address_key t:masked_email t:reason i:invitation_id i:delivery_id t:creator n:created_at",
    ),
    (
        "scope_settings",
        "t:account_id i:id t:scope_type t:scope_id n:seats n:occupied n:held n:lapsed n:revision",
    ),
    ("seat", "t:account_id i:scope_uid t:subject i:id b:by_caller n:occupied_at j:holders"),
    ("seat_hold", "t:account_id i:invitation_id n:open_until i:scope_uid n:uses"),
    ("webhook_endpoint", "t:account_id i:id n:since_position n:failing_since n:disabled_at n:revision"),
    (
        "webhook_message",
        "t:account_id i:endpoint_id i:invitation_id n:sequence t:state n:due_at i:lease n:attempts n:first_tried_at",
    ),
    ("webhook_attempt", "t:account_id i:endpoint_id i:id"),
    ("follower", "t:name n:position"),
];

/// Reads all rows, in one statement, which sees one moment.
pub(super) async fn read(connection: &DatabaseConnection) -> Rows {
    let backend = connection.get_database_backend();
    let selects: Vec<_> = TABLES.iter().map(|(table, columns)| select(backend, table, columns)).collect();
    let sql = selects.join(" UNION ALL ");
    let found = connection.query_all_raw(Statement::from_string(backend, sql)).await.unwrap();
    let mut rows: Rows = TABLES.iter().map(|(table, _)| (*table, BTreeSet::new())).collect();
    for row in found {
        let cell = |name| row.try_get::<Option<String>>("", name).unwrap();
        let mut line = cell("line").unwrap();
        if let Some(json) = cell("json") {
            line += " | ";
            line += &serde_json::from_str::<Value>(&json).unwrap().to_string();
        }
        let lines = rows.get_mut(cell("name").unwrap().as_str()).unwrap();
        assert!(lines.insert(line), "no two rows are the same");
    }
    rows
}

/// The rows of a table as lines, with the column of JSON, which each database writes in its own way, beside them.
fn select(backend: DbBackend, table: &str, columns: &str) -> String {
    let (mut cells, mut json) = (Vec::new(), "NULL".to_owned());
    for (kind, name) in columns.split_whitespace().filter_map(|column| column.split_once(':')) {
        match (kind, backend) {
            ("j", _) => json = format!("CAST({name} AS text)"),
            ("i", DbBackend::Sqlite) => cells.push(format!("coalesce(lower(nullif(hex({name}), '')), '-')")),
            ("i", _) => cells.push(format!("coalesce(replace(CAST({name} AS text), '-', ''), '-')")),
            ("b", _) => cells.push(format!("CASE WHEN {name} THEN '1' ELSE '0' END")),
            _ => cells.push(format!("coalesce(CAST({name} AS text), '-')")),
        }
    }
    let condition = if table == "follower" { " WHERE name IN ('sequencer', 'webhooks')" } else { "" };
    format!("SELECT '{table}' AS name, {} AS line, {json} AS json FROM {table}{condition}", cells.join(" || ' | ' || "))
}

fn join(cells: impl Iterator<Item = Option<String>>) -> String {
    cells.map(|cell| cell.unwrap_or_else(|| "-".to_owned())).collect::<Vec<_>>().join(" | ")
}

/// Returns the lines that only one of two has, for a message.
pub(super) fn difference(should: &Rows, is: &Rows) -> String {
    let mut text = String::new();
    for (table, should) in should {
        let missing = should.difference(&is[table]).map(|line| format!("  missing {table}: {line}\n"));
        let extra = is[table].difference(should).map(|line| format!("  extra   {table}: {line}\n"));
        text.extend(missing.chain(extra).take(12));
    }
    text
}

pub(super) fn id(id: Uuid) -> Option<String> {
    Some(id.simple().to_string())
}

pub(super) fn text(value: impl ToString) -> Option<String> {
    Some(value.to_string())
}

pub(super) fn at(moment: Option<Timestamp>) -> Option<String> {
    moment.map(|moment| moment.micros().to_string())
}

pub(super) fn maybe(value: Option<impl ToString>) -> Option<String> {
    value.map(|value| value.to_string())
}

fn details(details: &Details) -> Option<String> {
    let json = match details {
        Details::Connection(details) => serde_json::to_value(details),
        Details::User(details) => serde_json::to_value(details),
        Details::Guest(details) => serde_json::to_value(details),
        Details::General(details) => serde_json::to_value(details),
    };
    Some(json.unwrap().to_string())
}

impl Model {
    /// The rows that a database should have.
    pub(super) fn rows(&self) -> Rows {
        let mut rows: Rows = TABLES.iter().map(|(table, _)| (*table, BTreeSet::new())).collect();
        let mut add = |table: &'static str, cells: &[Option<String>]| {
            assert!(rows.get_mut(table).unwrap().insert(join(cells.iter().cloned())), "no two rows are the same");
        };
        self.invitation_rows(&mut add);
        self.event_rows(&mut add);
        for (account, acceptance) in self.acceptances.values() {
            let is_undone = acceptance.is_undone();
            let created = acceptance.created_connection.as_ref().filter(|_| !is_undone);
            let connection = created.map(|created| created.connection.id);
            let undone_id = id(if is_undone { acceptance.id.0 } else { Uuid::nil() });
            let released_at = at(acceptance.release.map(|release| release.at));
            let (account, invitation) = (text(account.as_str()), id(acceptance.invitation.0));
            let (own, subject) = (id(acceptance.id.0), text(&acceptance.subject.0));
            let (recipient, accepted_at) = (maybe(acceptance.recipient), at(Some(acceptance.accepted_at)));
            add(
                "acceptance",
                &[
                    account,
                    invitation,
                    own,
                    subject,
                    recipient,
                    connection.and_then(id),
                    accepted_at,
                    undone_id,
                    released_at,
                    at(acceptance.grant_expire_at),
                    at(acceptance.grant_told_at),
                ],
            );
        }
        for (key, remembered) in &self.requests {
            let mac = remembered.digest.hex();
            let (account, method, name) = (text(key.account.as_str()), text(&key.method), text(&key.id));
            let (key_id, invitation) = (text(remembered.digest.key_id), id(remembered.invitation.0));
            let acceptance = remembered.acceptance.and_then(|acceptance| id(acceptance.0));
            add(
                "request",
                &[account, method, name, key_id, Some(mac), invitation, acceptance, at(Some(remembered.at))],
            );
        }
        for ((account, key), slot) in &self.slots {
            add("slot", &[text(account.as_str()), text(&key.0), id(slot.invitation.0)]);
        }
        for (invitation, domain) in &self.domains {
            let account = &self.invitations[invitation].account;
            add("autojoin_domain", &[text(account.as_str()), text(domain), id(invitation.0)]);
        }
        for ((account, own), Message { delivery, planned }) in &self.outbox {
            let message = &delivery.message;
            let (due_at, planned_at) = if *planned { (None, delivery.due_at) } else { (delivery.due_at, None) };
            let names = [text(account.as_str()), id(*own), id(message.invitation.0), text(message.recipient)];
            let state = [text(message.purpose.code()), text(delivery.state.code()), at(due_at), at(planned_at)];
            let tried = [delivery.lease.and_then(id), text(delivery.attempts), maybe(delivery.last_error.as_ref())];
            let moments = [at(delivery.sent_at), at(Some(message.created_at)), at(message.moment)];
            add("outbox", &[&names[..], &state, &tried, &moments].concat());
        }
        for ((account, key), suppression) in &self.suppressions {
            let (invitation, delivery) = suppression.source.unzip();
            let names = [text(account.as_str()), id(suppression.id), text(key), text(&suppression.masked)];
            let source =
                [text(suppression.reason.code()), invitation.and_then(|about| id(about.0)), delivery.and_then(id)];
            let made = [text(&suppression.creator), at(Some(suppression.created_at))];
            add("suppression", &[&names[..], &source, &made].concat());
        }
        self.seating.add_rows(&mut add);
        add("follower", &[text("sequencer"), text(self.position)]);
        add("follower", &[text("webhooks"), text(self.dispatched)]);
        self.webhook_rows(&mut add);
        rows
    }

    fn invitation_rows(&self, add: &mut impl FnMut(&'static str, &[Option<String>])) {
        for (own, invitation) in &self.invitations {
            let facts = &invitation.facts;
            let (account, own) = (text(invitation.account.as_str()), id(own.0));
            let names = [account.clone(), own.clone(), text(invitation.details.kind().code())];
            let people = [text(&invitation.creator), text(&invitation.updater)];
            let numbers = [maybe(facts.max_uses), text(facts.use_count), text(invitation.revision)];
            let link = [text(invitation.generation), text(invitation.key_id), at(facts.expire_at)];
            let ends = [at(facts.accepted_at), at(facts.declined_at), at(facts.revoked_at)];
            let other_ends = [at(facts.accepted_elsewhere_at), at(facts.emptied_at), at(invitation.archived_at)];
            let told = [at(invitation.deleted_at), at(invitation.expiry_told_at), at(invitation.first_sent_at)];
            let moments = [at(invitation.last_sent_at), at(Some(invitation.created_at))];
            let last = [at(Some(invitation.updated_at)), details(&invitation.details)];
            let cells = [&names[..], &people, &numbers, &link, &ends, &other_ends, &told, &moments, &last].concat();
            add("invitation", &cells);
            for Recipient { ordinal, address, accepted_at, declined_at, .. } in &invitation.recipients {
                let (sort, value) = (text(address.address_type().code()), text(address.key()));
                let (accepted_at, declined_at) = (at(*accepted_at), at(*declined_at));
                add("recipient", &[account.clone(), own.clone(), text(ordinal), sort, value, accepted_at, declined_at]);
            }
            for (key, value) in &invitation.labels {
                add("label", &[account.clone(), own.clone(), text(key), text(value)]);
            }
        }
    }

    fn webhook_rows(&self, add: &mut impl FnMut(&'static str, &[Option<String>])) {
        for Posted { account, id: own, since, failing_since, .. } in &self.endpoints {
            let (account, own, failing_since) = (text(account.as_str()), id(*own), at(*failing_since));
            add("webhook_endpoint", &[account, own, text(since), failing_since, None, text(1)]);
        }
        for ((endpoint, invitation, sequence), post) in &self.posts {
            let names = [text(post.account.as_str()), id(*endpoint), id(invitation.0), text(sequence)];
            let (due_at, lease, tried_at) = (at(post.due_at), post.lease.and_then(id), at(post.first_tried_at));
            let state = [text(post.state), due_at, lease, text(post.attempts), tried_at];
            add("webhook_message", &[&names[..], &state].concat());
        }
        for (attempt, endpoint, account) in &self.attempts {
            add("webhook_attempt", &[text(account.as_str()), id(*endpoint), id(*attempt)]);
        }
    }

    fn event_rows(&self, add: &mut impl FnMut(&'static str, &[Option<String>])) {
        for (about, events) in &self.events {
            let (account, own) = (text(self.invitations[about].account.as_str()), id(about.0));
            // The first event of an invitation is counted without a row.
            if events.len() > 1 {
                let counts = self.engagement.get(about).copied().unwrap_or_default();
                let counts = [text(counts.views), text(counts.clicks), text(counts.unfurls), text(events.len())];
                add("engagement", &[&[account.clone(), own.clone()][..], &counts].concat());
            }
            for (index, placed) in events.iter().enumerate() {
                let event = &placed.event;
                let names = [account.clone(), own.clone(), text(index + 1), id(event.id)];
                let what = [text(event.event_type.name()), at(Some(event.time)), text(&event.actor)];
                let data = serde_json::to_value(event.data()).unwrap().to_string();
                let rest = [maybe(event.request_id.as_ref()), maybe(placed.position), Some(data)];
                add("event", &[&names[..], &what, &rest].concat());
            }
        }
    }
}
