//! The rows that the tests of lists begin with: invitations of the kinds that have most to filter and sort by, and ways through
//! pages.

use std::sync::Arc;

use invitation_service::domain::command::{
    Action, Command, CreateInvitation, Expiry, ExpiryTime, OnConflict, SyncAutojoin,
};
use invitation_service::domain::invitation::Invitation;
use invitation_service::domain::invitation::recipient::{Address, AddressType, NewRecipient};
use invitation_service::domain::kind::general::{CallerData, GeneralDetails, RecipientMatch, Usage};
use invitation_service::domain::kind::guest::GuestDetails;
use invitation_service::domain::kind::shared::{Inviter, SharedDetails};
use invitation_service::domain::kind::user::UserDetails;
use invitation_service::domain::kind::{Details, Scope};
use invitation_service::domain::reach::Reach;
use invitation_service::domain::value::id::InvitationId;
use invitation_service::domain::value::time::Timestamp;
use invitation_service::store::{Cursor, InvitationQuery, Store};
use sea_orm::{ConnectionTrait, DatabaseConnection};
use uuid::Uuid;

use crate::support::build::commands::*;
use crate::support::database::TestDatabase;

/// Any organization that has guests.
pub(crate) const HOST: Uuid = Uuid::from_u128(0x0192_0000_0000_7000_8000_0000_0000_0b05);

pub(crate) fn address(address_type: AddressType, value: &str) -> Address {
    Address::parse(address_type, value).unwrap()
}

fn to(address: Address) -> NewRecipient {
    NewRecipient { address, display_name: None, avatar_uri: None, existing_user: None }
}

/// A user invitation.
pub(crate) fn user(to: &str) -> CreateInvitation {
    let details = Details::User(UserDetails { roles: Vec::new(), shared: SharedDetails::default() });
    CreateInvitation { details, max_uses: Some(1), recipients: vec![email(to).into()], ..link() }
}

/// A guest invitation that expires at some moment.
pub(crate) fn guest(to: &str, expire_at: Timestamp) -> CreateInvitation {
    let details = GuestDetails {
        host_organization_id: HOST,
        parent_organization_id: None,
        parent_organization_name: None,
        accepted: None,
        shared: SharedDetails::default(),
    };
    let expiry = Some(Expiry { time: ExpiryTime::At(expire_at), field: "expire_time" });
    CreateInvitation { details: Details::Guest(details), expiry, ..user(to) }
}

/// A general invitation into a scope and groups.
pub(crate) fn general(scope: &Scope, groups: &[&Scope], to_whom: &[Address]) -> CreateInvitation {
    let details = GeneralDetails {
        usage: Usage::SingleUse,
        scope: Some(scope.clone()),
        explicit_scope: true,
        groups: groups.iter().copied().cloned().collect(),
        roles: Vec::new(),
        exclusive: false,
        recipient_match: RecipientMatch::Exact,
        domains: Vec::new(),
        caller_data: CallerData { widget_configuration_id: Some("widget-1".to_owned()), ..CallerData::default() },
        shared: SharedDetails {
            inviter: Some(Inviter { user_id: "inviter-1".to_owned(), ..Inviter::default() }),
            ..SharedDetails::default()
        },
    };
    CreateInvitation {
        details: Details::General(Box::new(details)),
        max_uses: Some(1),
        recipients: to_whom.iter().cloned().map(to).collect(),
        on_conflict: OnConflict::Allow,
        ..link()
    }
}

/// Makes an auto-join of one domain into a scope.
pub(crate) async fn autojoined(store: &Store, scope: &Scope, domain: &str) -> InvitationId {
    let sync = SyncAutojoin {
        scope: scope.clone(),
        domains: vec![domain.to_owned()],
        widget_configuration_id: None,
        metadata: None,
        etag: None,
    };
    store.executor().execute(command(Action::SyncAutojoin(Box::new(sync))), None).await.unwrap().invitation.id
}

/// Everything of the account on one page.
pub(crate) fn all() -> InvitationQuery {
    InvitationQuery { limit: 1_000, ..InvitationQuery::default() }
}

/// The ids of a page.
pub(crate) async fn ids(store: &Store, query: &InvitationQuery) -> Vec<InvitationId> {
    let rows = store.primary().list_invitations(&reach(), query).await.unwrap();
    rows.iter().map(|row| row.found.id).collect()
}

/// The ids of a whole list, read in pages of `limit`, all of which are full but the last.
pub(crate) async fn walk(store: &Store, query: &InvitationQuery, limit: u64) -> Vec<InvitationId> {
    let mut query = InvitationQuery { limit, ..query.clone() };
    let mut seen = Vec::new();
    loop {
        let page = store.primary().list_invitations(&reach(), &query).await.unwrap();
        seen.extend(page.iter().map(|row| row.found.id));
        let Some(last) = page.last().filter(|_| page.len() as u64 == limit) else { return seen };
        query.after = Some(Cursor::of_invitation_by(query.order, last));
        query.skip = 0;
    }
}

/// Makes an invitation of another account.
pub(crate) async fn foreign(store: &Store, invitation: CreateInvitation) -> Arc<Invitation> {
    let account = invitation_service::domain::value::text::AccountId::parse("Acme").unwrap();
    store
        .executor()
        .execute(Command { reach: Reach::of_account(account), ..command(create(invitation)) }, None)
        .await
        .unwrap()
        .invitation
}

/// An id as both databases read it.
pub(crate) fn literal(database: &TestDatabase, id: Uuid) -> String {
    if database.url().starts_with("sqlite") { format!("x'{}'", id.simple()) } else { format!("'{id}'") }
}

/// Sets columns of an invitation past the service.
pub(crate) async fn set(database: &TestDatabase, connection: &DatabaseConnection, id: InvitationId, columns: &str) {
    let sql = format!("UPDATE invitation SET {columns} WHERE id = {}", literal(database, id.0));
    assert_eq!(connection.execute_unprepared(&sql).await.unwrap().rows_affected(), 1);
}
