//! Invitations of the kinds that take slots, and looks at the tables beside theirs.

use invitation_service::domain::command::{
    AcceptInvitation, Access, Action, CreateInvitation, OnConflict, SyncAutojoin, UpdateInvitation, UpdatedFields,
};
use invitation_service::domain::invitation::Invitation;
use invitation_service::domain::invitation::recipient::{Address, NewRecipient};
use invitation_service::domain::kind::general::{CallerData, GeneralDetails, RecipientMatch, Usage};
use invitation_service::domain::kind::guest::GuestDetails;
use invitation_service::domain::kind::shared::SharedDetails;
use invitation_service::domain::kind::user::UserDetails;
use invitation_service::domain::kind::{Details, Scope};
use sea_orm::{ConnectionTrait, Statement};
use uuid::Uuid;

use super::commands::*;
use crate::support::database::TestDatabase;

/// Any organization.
pub(crate) const HOST: Uuid = Uuid::from_u128(0x0192_0000_0000_7000_8000_0000_0000_0057);

/// An invitation of one address by mail into the account itself.
pub(crate) fn user(address: &str) -> CreateInvitation {
    let details = Details::User(UserDetails { roles: vec!["admin".to_owned()], shared: SharedDetails::default() });
    CreateInvitation {
        max_uses: Some(1),
        expiry: after(600),
        recipients: vec![email(address).into()],
        mails: true,
        details,
        ..link()
    }
}

/// An invitation to be a guest of [`HOST`].
pub(crate) fn guest(address: &str) -> CreateInvitation {
    let details = GuestDetails {
        host_organization_id: HOST,
        parent_organization_id: None,
        parent_organization_name: None,
        accepted: None,
        shared: SharedDetails::default(),
    };
    CreateInvitation { details: Details::Guest(details), ..user(address) }
}

/// The details of a general invitation into a scope; `exclusive` is whether it takes slots.
pub(crate) fn details(scope: Option<Scope>, exclusive: bool) -> GeneralDetails {
    GeneralDetails {
        usage: Usage::SingleUse,
        explicit_scope: scope.is_some(),
        scope,
        groups: Vec::new(),
        roles: Vec::new(),
        exclusive,
        recipient_match: RecipientMatch::Exact,
        domains: Vec::new(),
        caller_data: CallerData::default(),
        shared: SharedDetails::default(),
    }
}

pub(crate) fn team(id: &str) -> Option<Scope> {
    Some(Scope::new("team", id))
}

/// A general invitation of some addresses of one person into a scope.
pub(crate) fn general(scope: Option<Scope>, on_conflict: OnConflict, addresses: &[Address]) -> CreateInvitation {
    let details = details(scope, on_conflict != OnConflict::Allow);
    CreateInvitation {
        details: Details::General(Box::new(details)),
        max_uses: Some(1),
        expiry: after(600),
        recipients: addresses.iter().cloned().map(recipient).collect(),
        on_conflict,
        ..link()
    }
}

pub(crate) fn recipient(address: Address) -> NewRecipient {
    NewRecipient { address, display_name: None, avatar_uri: None, existing_user: None }
}

pub(crate) fn mail(address: &str) -> Address {
    Address::Email(email(address))
}

pub(crate) fn internal(id: &str) -> Address {
    Address::Internal(id.to_owned())
}

/// Accepts with a verified address.
pub(crate) fn accept_as(made: &Invitation, subject: &str, address: &str) -> Action {
    let mut acceptor = acceptor(subject);
    acceptor.email = Some(email(address).into());
    acceptor.email_verified = true;
    let accept = AcceptInvitation { access: Access::Name(target(made)), ..accept_by(made, acceptor) };
    Action::Accept(Box::new(accept))
}

pub(crate) fn sync(scope: &str, domains: &[&str]) -> Action {
    Action::SyncAutojoin(Box::new(SyncAutojoin {
        scope: Scope::new("team", scope),
        domains: domains.iter().map(|domain| (*domain).to_owned()).collect(),
        widget_configuration_id: None,
        metadata: None,
        etag: None,
    }))
}

pub(crate) fn archive(made: &Invitation, archived: bool) -> Action {
    set(made, UpdatedFields { archived: Some(archived), ..UpdatedFields::default() })
}

/// Returns an update that changes nothing.
pub(crate) fn updating(made: &Invitation) -> UpdateInvitation {
    UpdateInvitation {
        target: target(made),
        service: made.details.kind(),
        fields: UpdatedFields::default(),
        fixed: Vec::new(),
        added: Vec::new(),
        removed: Vec::new(),
        mails_added: false,
    }
}

/// Sets fields.
pub(crate) fn set(made: &Invitation, fields: UpdatedFields) -> Action {
    Action::Update(Box::new(UpdateInvitation { fields, ..updating(made) }))
}

/// Adds and removes recipients.
pub(crate) fn set_recipients(made: &Invitation, added: &[Address], removed: &[u16], mails: bool) -> Action {
    let (added, removed, mails_added) = (added.iter().cloned().map(recipient).collect(), removed.to_vec(), mails);
    Action::Update(Box::new(UpdateInvitation { added, removed, mails_added, ..updating(made) }))
}

/// Returns the only column of some rows, a text, in order.
pub(crate) async fn texts(database: &TestDatabase, sql: &str) -> Vec<String> {
    let connection = database.connect().await;
    let statement = Statement::from_string(connection.get_database_backend(), sql);
    let rows = connection.query_all_raw(statement).await.unwrap();
    rows.iter().map(|row| row.try_get_by_index(0).unwrap()).collect()
}
