//! Reads: one round trip each, in turns by account, always within one account, and those of invitations within a [`Reach`].

pub(super) mod acceptances;
pub(super) mod account;
pub(super) mod events;
pub(super) mod filter;
mod groups;
pub(super) mod invitations;
pub(super) mod points;
pub(super) mod positions;
pub(super) mod query;
mod quotas;
pub(super) mod recipients;
pub(super) mod rows;
mod source;
pub(super) mod unreadable;

use sea_orm::sea_query::{Asterisk, Expr, JoinType, Query, SelectStatement};
use sea_orm::{ColumnTrait, EntityTrait, Order as Direction, QueryFilter as _, QueryTrait as _, Select, Value};
use uuid::Uuid;

use crate::domain::delivery::{Delivery, NewDelivery};
use crate::domain::invitation::Invitation;
use crate::domain::invitation::acceptance::Acceptance;
use crate::domain::invitation::event::Event;
use crate::domain::kind::{Kind, Scope};
use crate::domain::reach::person::{Person, Relation};
use crate::domain::reach::{Extent, Reach};
use crate::domain::value::id::InvitationId;
use crate::domain::value::text::AccountId;
use crate::domain::value::time::Timestamp;
use crate::store::sql::entity::invitation;
use query::Order;

/// A result of a read, and the moment at which its state is judged.
#[derive(Clone, Debug)]
pub struct Read<T> {
    /// The rows that were read.
    pub found: T,
    /// The database's clock, or the moment at which the first page of a list was read.
    pub now: Timestamp,
}

/// The key of a list's order.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, serde::Serialize, serde::Deserialize)]
#[serde(untagged)]
pub enum SortKey {
    /// A moment in microseconds, or a sequence.
    Number(i64),
    /// A normalised address.
    Text(String),
}

impl From<SortKey> for Value {
    fn from(key: SortKey) -> Self {
        match key {
            SortKey::Number(number) => number.into(),
            SortKey::Text(text) => text.into(),
        }
    }
}

/// The place at which a list continues: behind the row with this key, judged at the moment of the first page.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Cursor {
    /// The last row's sort key; the same for all rows where their ids are the order.
    pub key: SortKey,
    /// The last row's id, where the key alone does not tell rows apart.
    pub id: Uuid,
    /// The last recipient's ordinal, where the others are those of its invitation.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ordinal: Option<u16>,
    /// The moment at which the first page was read, in microseconds.
    pub frozen: i64,
    /// The number of rows of the whole list at that moment, if it was counted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub total: Option<u64>,
}

impl Cursor {
    /// Goes on behind an invitation in the order of creation.
    pub fn of_invitation(read: &Read<Invitation>) -> Self {
        Self::of_invitation_by(Order::CreateTime, read)
    }

    /// Goes on behind an invitation in any order.
    pub fn of_invitation_by(order: Order, read: &Read<Invitation>) -> Self {
        Self { key: order.key_of(&read.found), frozen: read.now.micros(), ..Self::of_id(read.found.id.0) }
    }

    /// Begins, in the order of creation with the newest first, with what was created by a moment, and judges it at that moment.
    pub fn until(at: Timestamp) -> Self {
        Self { key: SortKey::Number(at.micros()), frozen: at.micros(), ..Self::of_id(Uuid::max()) }
    }

    /// Continues behind an event of an invitation, whose sequence is unique; nothing about events changes with time.
    pub fn of_event(event: &Event) -> Self {
        Self { key: SortKey::Number(event.sequence), ..Self::of_id(event.event.id) }
    }

    /// Continues behind the event of a sequence, whether there is one or not.
    pub fn behind_event(sequence: i64) -> Self {
        Self { key: SortKey::Number(sequence), ..Self::of_id(Uuid::nil()) }
    }

    /// Continues behind an acceptance of an invitation.
    pub fn of_acceptance(acceptance: &Acceptance) -> Self {
        Self::of_id(acceptance.id.0)
    }

    /// Continues behind a recipient of an invitation.
    pub fn of_ordinal(ordinal: u16) -> Self {
        Self { key: SortKey::Number(ordinal.into()), ..Self::of_id(Uuid::nil()) }
    }

    /// Continues behind a message in the order of creation.
    pub fn of_delivery(delivery: &Delivery) -> Self {
        let NewDelivery { id, created_at, .. } = delivery.message;
        Self { key: SortKey::Number(created_at.micros()), ..Self::of_id(id) }
    }

    /// Continues behind a row whose place is that of its id.
    pub fn of_id(id: Uuid) -> Self {
        Self { key: SortKey::Number(0), id, ordinal: None, frozen: 0, total: None }
    }
}

/// The requested part of a list.
#[derive(Clone, Debug, Default)]
pub struct Page {
    /// Only invitations of these kinds; empty means all.
    pub kinds: Vec<Kind>,
    /// Only invitations to this scope, or to a group that is the same.
    pub scope: Option<Scope>,
    /// The most recipients that are read of each invitation; `None` for all.
    pub first_recipients: Option<u32>,
    /// Whether the oldest come first, instead of the newest.
    pub ascending: bool,
    /// The most rows.
    pub limit: u64,
    /// The most rows that are looked at; see [`query::InvitationQuery::scan`].
    pub scan: Option<u64>,
    /// The place behind which the list continues.
    pub after: Option<Cursor>,
}

/// Appends the values of a composed statement and numbers them.
pub(super) struct Params(pub(super) Vec<Value>);

/// Returns the condition for invitation `i` to be within a reach, beyond that of its account; `None` if all are.
pub(super) fn within(reach: &Reach, params: &mut Params) -> Option<String> {
    match reach.extent() {
        Extent::Account => None,
        Extent::Hosts(hosts) => {
            let hosts = hosts.iter().map(ToString::to_string);
            Some(format!("(i.kind = 'guest' AND i.scope_id IN ({}))", params.list(hosts)))
        }
        Extent::Person(person, Relation::Recipient) => Some(addressed_to(person, params)),
        Extent::Person(person, Relation::Inviter) => {
            Some(format!("i.inviter_user_id = {}", params.push(person.subject.0.as_str())))
        }
        // A link leads to one invitation, and to no list.
        Extent::Person(_, Relation::LinkHolder) => Some("1 = 0".to_owned()),
    }
}

/// Returns the condition for invitation `i` to be addressed to a person, or to the domain of their address.
fn addressed_to(person: &Person, params: &mut Params) -> String {
    let own = person.addresses().into_iter().map(|address| {
        let code = address.address_type().code();
        format!("r.recipient_type = '{code}' AND r.value = {}", params.push(address.key()))
    });
    let own = own.collect::<Vec<_>>().join(" OR ");
    let recipient = format!(
        "(SELECT true FROM recipient r WHERE r.account_id = {ACCOUNT} AND r.invitation_id = i.id AND ({own}) LIMIT 1)"
    );
    let Some(email) = person.comparable_email() else { return recipient };
    let domain = params.push(email.domain());
    format!(
        "({recipient} OR (SELECT true FROM autojoin_domain d WHERE d.account_id = {ACCOUNT} AND d.invitation_id = i.id
            AND d.domain = {domain} LIMIT 1))"
    )
}

/// Returns the statement for the invitations within a reach.
pub(super) fn reached(reach: &Reach) -> Select<invitation::Entity> {
    use invitation::Column;
    let all = invitation::Entity::find().filter(Column::AccountId.eq(reach.account().as_str()));
    match reach.extent() {
        Extent::Account => all,
        Extent::Hosts(hosts) => {
            let hosts = hosts.iter().map(ToString::to_string);
            all.filter(Column::Kind.eq(Kind::Guest.code())).filter(Column::ScopeId.is_in(hosts))
        }
        // A person is shown nothing that belongs to an invitation beside it.
        Extent::Person(..) => all.filter(Column::Id.is_in([] as [Uuid; 0])),
    }
}

/// Returns the statement for an invitation of a kind, or of any, within a reach.
fn owner(reach: &Reach, id: InvitationId, kind: Option<Kind>) -> Select<invitation::Entity> {
    use invitation::Column;
    let owner = reached(reach).filter(Column::Id.eq(id.0));
    owner.apply_if(kind, |owner, kind| owner.filter(Column::Kind.eq(kind.code())))
}

/// The parameter that overrides the database's clock.
const CLOCK: usize = 1;

/// The parameter that every predicate has.
pub(super) const ACCOUNT: &str = "$2";

impl Params {
    /// Begins with the parameters [`CLOCK`] and [`ACCOUNT`].
    pub(super) fn new(clock: Option<i64>, account: &AccountId) -> Self {
        Self(vec![clock.into(), account.as_str().into()])
    }

    pub(super) fn push(&mut self, value: impl Into<Value>) -> String {
        self.0.push(value.into());
        format!("${}", self.0.len())
    }

    pub(super) fn list<T: Into<Value>>(&mut self, values: impl IntoIterator<Item = T>) -> String {
        values.into_iter().map(|value| self.push(value)).collect::<Vec<_>>().join(", ")
    }
}

/// Returns the comparison and the direction of a keyset.
pub(super) fn direction(descending: bool) -> (&'static str, &'static str) {
    if descending { ("<", "DESC") } else { (">", "ASC") }
}

/// Returns the direction of a list in a built statement.
pub(super) fn order(ascending: bool) -> Direction {
    if ascending { Direction::Asc } else { Direction::Desc }
}

/// Returns the condition for the rows behind a value in such a list.
pub(super) fn behind(column: impl ColumnTrait, last: impl Into<Value>, ascending: bool) -> Expr {
    if ascending { column.gt(last) } else { column.lt(last) }
}

/// Returns a statement for a page of rows, all columns of each, sorted by one of them. It is joined to the row that
/// owns them, so that one round trip tells an empty page from a missing owner: without the owner there is no row, and
/// an empty page is a row of NULLs.
pub(super) fn page_of_owner<O: EntityTrait, E: EntityTrait>(
    owner: Select<O>,
    page: Select<E>,
    (column, order): (E::Column, Direction),
) -> SelectStatement {
    Query::select()
        .column(("page", Asterisk))
        .from_subquery(owner.into_query(), "owner")
        .join_subquery(JoinType::LeftJoin, page.into_query(), "page", Expr::cust("true"))
        .order_by(("page", column), order)
        .take()
}
