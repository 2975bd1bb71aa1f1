//! The load: one statement that reads everything a group of commands needs, with the database's clock. A few commands
//! learn only from their invitation which rows they need besides; for these the statement runs a second time.

pub(in crate::store) mod quotas;
mod search;
pub(in crate::store) mod seats;
mod sql;

use std::collections::{BTreeMap, BTreeSet};

use sea_orm::{ConnectionTrait, DbBackend, Statement, Value};
use serde::de::DeserializeOwned;
use uuid::Uuid;

use crate::domain::command::{Command, ReadSet, RequestKey};
use crate::domain::delivery::Purpose;
use crate::domain::group::loaded::Loaded;
use crate::domain::group::open::{MAX_RIVALS, MAX_SHARED_RIVALS};
use crate::domain::invitation::NEWEST_ACCEPTANCES;
use crate::domain::invitation::acceptance::Acceptance;
use crate::domain::quota::Quotas;
use crate::domain::value::id::InvitationId;
use crate::domain::value::time::Timestamp;
use crate::store::read::filter::present_recipient_sql;
use crate::store::read::unreadable::skip_unreadable;
use crate::store::sql::entity::{acceptance, engagement, invitation, label, recipient, suppression};
use crate::store::sql::error::StoreError;
use crate::store::sql::row::{InvitationRows, account_of_row, delivery_from, request_from, seat_from, slot_from};
use crate::store::sql::rows_param::{Columns, RowsParam, by_index, json_array, json_object};
use crate::store::sql::texts::{StatementPart as _, StatementTexts};
use quotas::{QuotaRow, keys_in};
use search::{Found, MAX_LOOKS, entries, search_keys, searches};
use seats::{put_scope, scope_keys, seat_keys, with_scope};
pub(in crate::store) use sql::{LoadPart, is_found, load_sql};
use sql::{
    invitation_key_columns, message_key_columns, request_key_columns, slot_key_columns, suppression_key_columns,
};

/// The read set of one command, as a row.
#[derive(Default, PartialEq, Eq, PartialOrd, Ord)]
struct InvitationKey<'a> {
    account_id: &'a str,
    invitation_id: Uuid,
    subject: Option<&'a str>,
    acceptance_id: Option<Uuid>,
    connection_id: Option<Uuid>,
    newest: i32,
}

/// Returns the texts of the load for one database.
pub(in crate::store) fn load_texts(backend: DbBackend) -> StatementTexts<LoadPart> {
    if backend == DbBackend::Postgres {
        StatementTexts::new(LoadPart::ALL, |parts| load_sql(DbBackend::Postgres, parts))
    } else {
        StatementTexts::new(LoadPart::ALL, |parts| load_sql(DbBackend::Sqlite, parts))
    }
}

/// The parts that are read with an invitation.
pub(in crate::store) struct Extent<'a> {
    /// The condition for its recipients, which are called `t`.
    pub(in crate::store) recipients: &'a str,
    /// The most recipients that are read, of those who were not removed, who are also counted; `None` to read all. One more is
    /// read where the others do not show that addresses bind the invitation.
    pub(in crate::store) first_recipients: Option<u32>,
    /// The condition under which its messages are counted.
    pub(in crate::store) messages: &'a str,
    /// The expression for its acceptances, as a JSON array.
    pub(in crate::store) acceptances: &'a str,
    /// The expression for the settings of its scope, as JSON; `None` if they are not read.
    pub(in crate::store) scope: Option<&'a str>,
}

impl Extent<'_> {
    /// Everything except acceptances.
    pub(in crate::store) const PLAIN: Self =
        Self { recipients: "true", first_recipients: None, messages: "true", acceptances: "NULL", scope: None };
}

/// Returns an expression for invitation `i` with its parts, as JSON text.
pub(in crate::store) fn invitation_body(backend: DbBackend, extent: &Extent<'_>) -> String {
    let Extent { recipients, first_recipients, messages, acceptances, scope } = extent;
    let of = |table: &str, alias: &str| {
        format!("{table} {alias} WHERE {alias}.account_id = i.account_id AND {alias}.invitation_id = i.id")
    };
    let rows = |columns: Columns, table: &str, condition: &str| {
        json_array(backend, &columns.json_of(backend, "t"), &format!("{} AND {condition}", of(table, "t")))
    };
    let sent = by_index(backend, "invitation", "o", "i.account_id");
    let outbox = format!("outbox o WHERE {sent} AND o.invitation_id = i.id AND {} AND {messages}", brings_link("o"));
    let engagement = Columns::of::<engagement::Entity>().json_of(backend, "e");
    let all = format!("{} AND {}", of("recipient", "t"), present_recipient_sql("t"));
    let recipients = match first_recipients {
        None => rows(Columns::of::<recipient::Entity>(), "recipient", recipients),
        Some(most) => {
            let first = format!("SELECT * FROM (SELECT * FROM {all} ORDER BY t.ordinal LIMIT {most}) first");
            let binding = format!("{all} AND t.recipient_type IN ('email', 'internal') ORDER BY t.ordinal LIMIT 1");
            let some = format!("({first} UNION SELECT * FROM (SELECT * FROM {binding}) binding) t");
            json_array(backend, &Columns::of::<recipient::Entity>().json_of(backend, "t"), &some)
        }
    };
    let recipient_count = first_recipients.map(|_| ("recipient_count", format!("(SELECT count(*) FROM {all})")));
    let pairs = [
        ("invitation", Columns::of::<invitation::Entity>().json_of(backend, "i")),
        ("recipients", recipients),
        ("labels", rows(Columns::of::<label::Entity>(), "label", "true")),
        ("engagement", format!("(SELECT {engagement} FROM {})", of("engagement", "e"))),
        ("deliveries", format!("(SELECT count(*) FROM {outbox})")),
        ("latest_delivery", latest_delivery(backend, &outbox)),
        ("acceptances", (*acceptances).to_owned()),
    ];
    let scope = scope.map(|scope| ("scope", scope.to_owned()));
    let pairs: Vec<_> = pairs.into_iter().chain(recipient_count).chain(scope).collect();
    text(backend, &json_object(backend, &pairs))
}

/// Returns an expression for the state of the latest of some messages that was not cancelled, as JSON.
fn latest_delivery(backend: DbBackend, outbox: &str) -> String {
    let quote = if backend == DbBackend::Postgres { "to_json" } else { "json_quote" };
    format!(
        "(SELECT {quote}(o.state) FROM {outbox} AND o.state <> 'cancelled'
        ORDER BY o.created_at DESC, o.id DESC LIMIT 1)"
    )
}

/// Returns the condition for a message that brings, or has brought, a link: a reminder does so only once it is sent.
fn brings_link(alias: &str) -> String {
    let [invitation, reminder] = [Purpose::Invitation, Purpose::Reminder].map(Purpose::code);
    format!("({alias}.purpose = '{invitation}' OR {alias}.purpose = '{reminder}' AND {alias}.attempts > 0)")
}

/// Returns an expression for the newest acceptances of invitation `i`, as a JSON array.
pub(in crate::store) fn newest_acceptances(backend: DbBackend) -> String {
    let newest = format!(
        "(SELECT * FROM acceptance n WHERE n.account_id = i.account_id AND n.invitation_id = i.id
        ORDER BY n.id DESC LIMIT {NEWEST_ACCEPTANCES}) t"
    );
    json_array(backend, &Columns::of::<acceptance::Entity>().json_of(backend, "t"), &newest)
}

pub(in crate::store) fn text(backend: DbBackend, json: &str) -> String {
    if backend == DbBackend::Postgres { format!("({json})::text") } else { json.to_owned() }
}

/// Loads the read sets of a group of commands, then the further ones, which depend on what was loaded. For a group that is
/// `shared` by several callers, less is searched, see [`Command::outgrows_shared_group`].
pub(in crate::store) async fn load<'a, C: ConnectionTrait>(
    db: &C,
    texts: &StatementTexts<LoadPart>,
    commands: impl Iterator<Item = &'a Command> + Clone,
    shared: bool,
    quotas: &Quotas,
    clock: Option<Timestamp>,
) -> Result<Loaded, StoreError> {
    let statement = LoadStatement { texts, shared, clock };
    let read_set: Vec<_> = commands.clone().map(|command| (command, command.whole_read_set(quotas))).collect();
    let keys = commands.clone().flat_map(Command::request_keys).collect();
    let mut loaded = statement.run(db, &read_set, &keys).await?;
    let mut found = BTreeSet::new();
    for look in 1..MAX_LOOKS {
        let further = commands.clone().filter(|_| look <= 2).map(|command| match look {
            1 => (command, command.second_read_set(&loaded, quotas)),
            _ => (command, command.third_read_set(&loaded)),
        });
        let mut more: Vec<_> = further.filter(|(_, read_set)| *read_set != ReadSet::default()).collect();
        for command in commands.clone() {
            let read_set = command.found_to_read(&loaded);
            // Of a batch that is decided as a whole, no more are read than of one command.
            let new = read_set.found.iter().filter(|id| !found.contains(*id)).count();
            if new > 0 && (shared || found.len() + new <= MAX_RIVALS) {
                found.extend(read_set.found.iter().copied());
                more.push((command, read_set));
            }
        }
        if more.is_empty() {
            break;
        }
        let more = statement.run(db, &more, &BTreeSet::new()).await?;
        // A row that changed between two loads was seen in two states: no decision may depend on that.
        if !loaded.agrees_with(&more) {
            return Err(StoreError::Conflict);
        }
        loaded.add(more);
    }
    Ok(loaded)
}

/// The statement of a load, with what is the same for all of its runs.
struct LoadStatement<'a> {
    texts: &'a StatementTexts<LoadPart>,
    shared: bool,
    clock: Option<Timestamp>,
}

impl LoadStatement<'_> {
    /// Loads read sets in one statement.
    async fn run<C: ConnectionTrait>(
        &self,
        db: &C,
        read_set: &[(&Command, ReadSet)],
        requests: &BTreeSet<RequestKey>,
    ) -> Result<Loaded, StoreError> {
        let backend = db.get_database_backend();
        let searches = searches(read_set);
        let entries = entries(searches.len(), self.shared);
        let mut sets: BTreeMap<LoadPart, RowsParam> = BTreeMap::from([
            (LoadPart::Invitations, invitation_keys(read_set)),
            (LoadPart::Requests, request_keys(requests)),
            (LoadPart::Slots, slot_keys(read_set)),
            (LoadPart::Searches, search_keys(&searches)),
            (LoadPart::Messages, message_keys(read_set)),
            (LoadPart::Quotas, keys_in(read_set)),
            (LoadPart::Suppressions, suppression_keys(read_set)),
            (LoadPart::Scopes, scope_keys(read_set)),
            (LoadPart::Seats, seat_keys(read_set)),
        ]);
        sets.retain(|_, set| set.len() > 0);
        let has = |wants: fn(&ReadSet) -> bool| {
            read_set.iter().any(|(_, read_set)| read_set.invitation.is_some() && wants(read_set))
        };
        let more = [
            (LoadPart::BySubject, has(|read_set| read_set.subject.is_some())),
            (LoadPart::ById, has(|read_set| read_set.acceptance.is_some())),
            (LoadPart::ByConnection, has(|read_set| read_set.created_connection.is_some())),
            (LoadPart::Newest, has(|read_set| read_set.newest_acceptances)),
        ];
        let more = more.into_iter().filter(|(_, needed)| *needed).map(|(part, _)| part);
        let (parts, text) = self.texts.text(sets.keys().copied().chain(more).collect());
        let mut values: Vec<Value> = Vec::new();
        for part in &parts {
            if let Some(columns) = part.columns() {
                let set = sets.remove(part).unwrap_or_else(|| RowsParam::empty(columns));
                values.extend(set.params(backend));
            }
        }
        values.push(self.clock.map(Timestamp::micros).into());
        if parts.contains(&LoadPart::Searches) {
            // One more shows that there are more.
            values.push(i64::try_from(entries + 1).unwrap_or(i64::MAX).into());
        }
        let rows = db.query_all_raw(Statement::from_sql_and_values(backend, &*text, values)).await?;

        let mut loaded = Loaded::empty(Timestamp::from_micros(0));
        loaded.limit_rivals(if self.shared { MAX_SHARED_RIVALS } else { MAX_RIVALS });
        let mut unreadable = Vec::new();
        for row in rows {
            let body = row.try_get::<Option<String>>("", "body")?.unwrap_or_default();
            match row.try_get::<String>("", "tag")?.as_str() {
                "now" => loaded.now = Timestamp::from_micros(row.try_get("", "now")?),
                "invitation" => {
                    match parse_json::<InvitationRows>(&body, "invitation").and_then(with_scope) {
                        Ok((invitation, scope)) => {
                            let invitation = loaded.put_invitation(invitation);
                            if let Some(scope) = scope {
                                put_scope(&mut loaded, scope, Some(invitation.id))?;
                            }
                        }
                        Err(error @ StoreError::Corrupt { .. }) => match id_of(&body) {
                            Some(id) => unreadable.push((id, error)),
                            // The invitation may be the one that a command is about.
                            None => return Err(error),
                        },
                        Err(error) => return Err(error),
                    }
                }
                "acceptance" => {
                    let row: acceptance::Model = parse_json(&body, "acceptance")?;
                    loaded.put_acceptance(Acceptance::try_from(row)?);
                }
                "request" => {
                    let (key, remembered) = request_from(parse_json(&body, "request")?)?;
                    loaded.put_request(key, remembered);
                }
                "delivery" => {
                    let (account, delivery) = delivery_from(parse_json(&body, "outbox")?)?;
                    loaded.put_delivery(&account, delivery);
                }
                "slot" => {
                    let (account, key, slot) = slot_from(parse_json(&body, "slot")?)?;
                    loaded.put_slot(&account, key, slot);
                }
                "suppression" => {
                    let row: suppression::Model = parse_json(&body, "suppression")?;
                    loaded.put_suppression(account_of_row(&row)?, row.address_key);
                }
                "scope" => put_scope(&mut loaded, parse_json(&body, "scope_settings")?, None)?,
                "seat" => {
                    let (scope, subject, seat) = seat_from(parse_json(&body, "seat")?)?;
                    loaded.set_seat(scope, subject, Some(seat));
                }
                "quota" => {
                    let (key, count) = parse_json::<QuotaRow>(&body, "quota")?.parse()?;
                    loaded.put_quota(key, count);
                }
                "found" => {
                    let found: Found = parse_json(&body, "recipient")?;
                    let Some(search) = searches.get(found.place) else { continue };
                    let ids = found.ids.unwrap_or_default();
                    let is_cut = ids.len() > entries;
                    loaded.put_found(
                        (search.account, search.scope, search.address),
                        ids.into_iter().flatten().collect(),
                        is_cut,
                    );
                }
                _ => return Err(StoreError::Refused("the load answered with an unknown tag".to_owned())),
            }
        }
        for (id, error) in unreadable {
            // A command fails only because of the invitation that it is about, not because of others beside it.
            if read_set.iter().any(|(_, read_set)| read_set.invitation == Some(id)) || loaded.mentions(id) {
                return Err(error);
            }
            skip_unreadable::<()>(Err(error))?;
            loaded.put_unreadable(id);
        }
        Ok(loaded)
    }
}

/// Returns the id of an invitation whose document cannot be read.
fn id_of(body: &str) -> Option<InvitationId> {
    let body: serde_json::Value = serde_json::from_str(body).ok()?;
    body["invitation"]["id"].as_str().and_then(|id| Uuid::parse_str(id).ok()).map(InvitationId)
}

fn invitation_keys(read_set: &[(&Command, ReadSet)]) -> RowsParam {
    let wanted = read_set.iter().filter_map(|(command, read_set)| {
        Some(InvitationKey {
            account_id: command.account().as_str(),
            invitation_id: read_set.invitation?.0,
            subject: read_set.subject.as_ref().map(|subject| subject.0.as_str()),
            acceptance_id: read_set.acceptance.map(|id| id.0),
            connection_id: read_set.created_connection,
            newest: i32::from(read_set.newest_acceptances),
        })
    });
    let found = read_set.iter().flat_map(|(command, read_set)| {
        let account_id = command.account().as_str();
        read_set.found.iter().map(move |id| InvitationKey { account_id, invitation_id: id.0, ..Default::default() })
    });
    let keys: BTreeSet<_> = wanted.chain(found).collect();
    RowsParam::new(invitation_key_columns(), keys.into_iter().map(invitation_key_row))
}

fn request_keys(requests: &BTreeSet<RequestKey>) -> RowsParam {
    let row = |key: &RequestKey| [key.account.as_str(), &key.method, &key.id].map(Value::from);
    RowsParam::new(request_key_columns(), requests.iter().map(row))
}

fn slot_keys(read_set: &[(&Command, ReadSet)]) -> RowsParam {
    let keys = read_set
        .iter()
        .flat_map(|(command, read_set)| read_set.slots.iter().map(|key| [command.account().as_str(), key.0.as_str()]));
    distinct(slot_key_columns(), keys)
}

fn suppression_keys(read_set: &[(&Command, ReadSet)]) -> RowsParam {
    let keys = read_set.iter().flat_map(|(command, read_set)| {
        read_set.suppressions.iter().map(|key| [command.account().as_str(), key.as_str()])
    });
    distinct(suppression_key_columns(), keys)
}

fn message_keys(read_set: &[(&Command, ReadSet)]) -> RowsParam {
    let messages = read_set.iter().filter_map(|(command, read_set)| {
        Some((command.account().as_str(), read_set.delivery?, i32::from(!read_set.without_recipients)))
    });
    let messages: BTreeSet<_> = messages.collect();
    RowsParam::new(
        message_key_columns(),
        messages.into_iter().map(|(account, id, all)| [account.into(), id.into(), all.into()]),
    )
}

fn distinct<'a, const N: usize>(columns: Columns, rows: impl Iterator<Item = [&'a str; N]>) -> RowsParam {
    RowsParam::new(columns, rows.collect::<BTreeSet<_>>().into_iter().map(|row| row.map(Value::from)))
}

fn invitation_key_row(wanted: InvitationKey<'_>) -> [Value; 6] {
    let InvitationKey { account_id, invitation_id, subject, acceptance_id, connection_id, newest } = wanted;
    [account_id.into(), invitation_id.into(), newest.into(), subject.into(), acceptance_id.into(), connection_id.into()]
}

/// Parses a row that was read as JSON text.
pub(in crate::store) fn parse_json<T: DeserializeOwned>(json: &str, table: &'static str) -> Result<T, StoreError> {
    // The parser's message may quote the row, so it is dropped.
    serde_json::from_str(json).map_err(|_| StoreError::Corrupt {
        table,
        column: "*",
        row: "?".to_owned(),
        problem: "is not a row of this table",
    })
}
