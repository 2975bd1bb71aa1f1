//! Fixtures that the tests of the domain share: invitations, links and commands.

mod acceptances;

use crate::domain::reach::Reach;
use crate::domain::value::grantable_roles::GrantableRoles;
use std::collections::BTreeMap;
use std::time::Duration;

use uuid::Uuid;

use super::command::{
    AcceptInvitation, Access, Action, Command, CreateInvitation, DeclineInvitation, DeleteInvitation, Expiry,
    ExpiryTime, OnConflict, RecordCreatedConnection, RecordEngagement, Request, ResendInvitation, RevokeInvitation,
    SyncAutojoin, Target, UpdateInvitation, UpdatedFields,
};
use super::decide::Context;
use super::delivery::notice::Notices;
use super::delivery::reminder::Schedules;
use super::delivery::repeats::Repeats;
use super::group::loaded::Loaded;
use super::invitation::acceptance::{Acceptance, Acceptor, Subject};
use super::invitation::recipient::{Address, NewRecipient, Recipient};
use super::invitation::state::{Facts, State};
use super::invitation::unknown_fields::UnknownFields;
use super::invitation::{Engagement, EngagementType, Invitation};
use super::kind::connection::{ConnectionDetails, ConnectionPurpose, NewConnection};
use super::kind::general::{CallerData, GeneralDetails, RecipientMatch, Usage};
use super::kind::guest::{GuestDetails, system_subject};
use super::kind::shared::{Inviter, SharedDetails};
use super::kind::user::UserDetails;
use super::kind::{Details, Kind, Scope};
use super::quota::Quotas;
use super::secret::key_ring::KeyRing;
use super::secret::token::Claims;
use super::value::email::Email;
use super::value::given_email::GivenEmail;
use super::value::id::{AcceptanceId, IdSeed, InvitationId};
use super::value::text::AccountId;
use super::value::time::{Timestamp, Ttl};
pub(in crate::domain) use acceptances::{early, expire_grant, extend, release};

/// The moment of every decision, unless a test sets another one.
pub(super) const NOW: Timestamp = Timestamp::from_micros(1_800_000_000_000_000);
/// Key 1 signs; there are no reminders and no notices.
pub(super) const CONTEXT: Context =
    Context { signing_key: 1, reminders: Schedules::NONE, notices: Notices::NONE, quotas: Quotas::NONE };

/// Returns the moment some minutes after [`NOW`], or before it.
pub(super) fn minutes(minutes: i64) -> Timestamp {
    Timestamp::from_micros(NOW.micros() + minutes * 60_000_000)
}

pub(super) fn ttl(minutes: u64) -> Ttl {
    Ttl::parse(Duration::from_secs(minutes * 60)).unwrap()
}

/// Returns an expiry some time after the decision.
pub(super) fn after(ttl: Ttl) -> Expiry {
    Expiry { time: ExpiryTime::After(ttl), field: "ttl" }
}

pub(super) fn reach(id: &str) -> Reach {
    Reach::of_account(account(id))
}

/// The reach of a caller who acts for some organizations; for the whole account, if `hosts` is `None`.
pub(super) fn reach_of(hosts: Option<Vec<Uuid>>) -> Reach {
    hosts.map_or_else(|| reach("acme"), |hosts| Reach::of_hosts(account("acme"), hosts))
}

pub(super) fn account(name: &str) -> AccountId {
    AccountId::parse(name).unwrap()
}

pub(super) fn email(value: &str) -> Email {
    Email::parse(value).unwrap()
}

/// Returns the address of recipient `n` of [`invitation`].
pub(super) fn address(n: u16) -> Email {
    email(&format!("r{n}@example.org"))
}

/// Returns a connection invitation to a number of recipients without answers that never expires.
pub(super) fn invitation(recipients: u16, max_uses: Option<u32>) -> Invitation {
    let purpose = ConnectionPurpose::CreateConnection { prefill: None };
    Invitation {
        id: InvitationId(Uuid::from_u128(0x0192_0000_0000_7000_8000_0000_0000_0001)),
        account: account("acme"),
        details: Details::Connection(ConnectionDetails {
            company_id: Uuid::from_u128(0xc0),
            purpose,
            shared: SharedDetails::default(),
        }),
        unknown: UnknownFields::default(),
        facts: Facts::new(max_uses, None),
        revision: 7,
        generation: 3,
        key_id: 1,
        mails: true,
        recipients: (1..=recipients).map(|ordinal| Recipient::new(ordinal, address(ordinal).into())).collect(),
        further_recipients: 0,
        labels: BTreeMap::new(),
        creator: "maker".to_owned(),
        updater: "maker".to_owned(),
        archived_at: None,
        deleted_at: None,
        expiry_told_at: None,
        first_sent_at: None,
        last_sent_at: None,
        repeats: Repeats::default(),
        created_at: minutes(-60),
        updated_at: minutes(-60),
        engagement: Engagement::default(),
        deliveries: 0,
        latest_delivery: None,
        acceptances: Vec::new(),
    }
}

/// Returns the scope of all general invitations.
pub(super) fn scope() -> Scope {
    Scope::new("team", "t1")
}

/// Returns the details of a general invitation to [`scope`].
pub(super) fn general(usage: Usage) -> GeneralDetails {
    GeneralDetails {
        usage,
        scope: Some(scope()),
        explicit_scope: true,
        groups: Vec::new(),
        roles: vec!["editor".to_owned()],
        exclusive: false,
        recipient_match: RecipientMatch::Exact,
        domains: Vec::new(),
        caller_data: CallerData { pass_through: Some("opaque".to_owned()), ..CallerData::default() },
        shared: SharedDetails::default(),
    }
}

/// Returns the simplest details of every kind.
pub(super) fn details(kind: Kind) -> Details {
    match kind {
        Kind::Connection => invitation(0, None).details,
        Kind::User => Details::User(UserDetails { roles: vec!["viewer".to_owned()], shared: invited_by("Ada") }),
        Kind::Guest => Details::Guest(GuestDetails {
            host_organization_id: organization(1),
            parent_organization_id: None,
            parent_organization_name: None,
            accepted: None,
            shared: SharedDetails::default(),
        }),
        Kind::General => Details::General(Box::new(general(Usage::SingleUse))),
    }
}

/// Returns the shared fields of an invitation by a person.
pub(super) fn invited_by(name: &str) -> SharedDetails {
    let inviter = Inviter { display_name: Some(name.to_owned()), ..Inviter::default() };
    SharedDetails { inviter: Some(inviter), ..SharedDetails::default() }
}

pub(super) fn organization(n: u128) -> Uuid {
    Uuid::from_u128(0x0192_0000_0000_7000_8000_0000_0009_0000 + n)
}

/// Returns an address of the type of the text; an e-mail address has an `@`, a phone number a `+`.
pub(super) fn at(value: &str) -> Address {
    if value.contains('@') {
        Address::Email(email(value))
    } else if value.starts_with('+') {
        Address::Phone(value.to_owned())
    } else if value.is_empty() {
        Address::Share(String::new())
    } else {
        Address::Internal(value.to_owned())
    }
}

pub(super) fn recipient(address: Address) -> NewRecipient {
    NewRecipient { address, display_name: None, avatar_uri: None, existing_user: None }
}

/// Returns an invitation of a kind to these addresses, with a number as its id; the higher number is the newer.
pub(super) fn invited(number: u128, details: Details, addresses: &[&str]) -> Invitation {
    let mut invitation = invitation(0, Some(1));
    invitation.id.0 = Uuid::from_u128(invitation.id.0.as_u128() + number);
    invitation.recipients =
        (1..).zip(addresses).map(|(n, address)| Recipient::new(n, recipient(at(address)))).collect();
    Invitation { details, ..invitation }
}

/// Returns an invitation to one address for two acceptances, one of them by subject `early`, with only the facts of
/// this state.
pub(super) fn in_state(state: State) -> Invitation {
    let mut invitation = invitation(1, Some(2));
    invitation.facts.use_count = if state == State::Fulfilled { 2 } else { 1 };
    invitation.facts.accepted_at = Some(minutes(-50));
    invitation.facts.expire_at = Some(if state == State::Expired { NOW } else { minutes(60) });
    invitation.facts.revoked_at = (state == State::Revoked).then(|| minutes(-10));
    invitation.facts.declined_at = (state == State::Declined).then(|| minutes(-10));
    invitation
}

/// Returns a snapshot of an invitation and acceptances of it.
pub(super) fn loaded(invitation: &Invitation, acceptances: &[Acceptance]) -> Loaded {
    let mut loaded = Loaded::empty(NOW);
    loaded.put_invitation(invitation.clone());
    for acceptance in acceptances {
        loaded.put_acceptance(acceptance.clone());
    }
    loaded
}

/// Returns a command without a request_id. Different numbers give different ids.
pub(super) fn command(number: u8, action: Action) -> Command {
    let seed = IdSeed::new(NOW, [number; 16]);
    let (reach, grantable_roles) = (Reach::of_account(account("acme")), GrantableRoles::default());
    Command { reach, actor: "caller".to_owned(), grantable_roles, request: None, seed, action }
}

/// Returns the command with a request_id and the digests of a body under a ring of these keys.
pub(super) fn requested(command: Command, id: &str, body: &str, keys: &[u8]) -> Command {
    let ring: Vec<_> = keys.iter().map(|key| KeyRing::format_key(*key, [*key; 32])).collect();
    let digests = KeyRing::parse(&ring.join(",")).unwrap().body_digests(body.as_bytes());
    Command { request: Some(Request::new("Method", id, digests)), ..command }
}

/// Returns an acceptor without an address.
pub(super) fn acceptor(subject: &str) -> Acceptor {
    person(subject, None, false)
}

pub(super) fn person(subject: &str, email: Option<Email>, email_verified: bool) -> Acceptor {
    let subject = Subject(subject.to_owned());
    let email = email.map(GivenEmail::from);
    Acceptor { subject, email, email_verified, phone: None, display_name: None, existing_user: None }
}

pub(super) fn connection(id: u128, status: &str) -> NewConnection {
    NewConnection { id: Uuid::from_u128(id), datasource_name: "Works".to_owned(), status: status.to_owned() }
}

pub(super) fn create(recipients: &[Email], mails: bool) -> Action {
    let addresses: Vec<_> = recipients.iter().cloned().map(Address::Email).collect();
    Action::Create(Box::new(CreateInvitation { mails, ..creation(invitation(0, None).details, &addresses) }))
}

/// Creates an invitation for one use with an hour to live that is not mailed.
pub(super) fn creation(details: Details, addresses: &[Address]) -> CreateInvitation {
    CreateInvitation {
        details,
        max_uses: Some(1),
        expiry: Some(after(ttl(60))),
        recipients: addresses.iter().cloned().map(recipient).collect(),
        mails: false,
        labels: BTreeMap::new(),
        on_conflict: OnConflict::Allow,
    }
}

pub(super) fn accept(link: Claims, acceptor: Acceptor) -> Action {
    accept_with(link, acceptor, None)
}

pub(super) fn accept_with(link: Claims, acceptor: Acceptor, created_connection: Option<NewConnection>) -> Action {
    let access = Access::Link(link);
    let guest_organization_id = None;
    Action::Accept(Box::new(AcceptInvitation {
        access,
        acceptor,
        created_connection,
        guest_organization_id,
        by_system: false,
        proof: None,
    }))
}

pub(super) fn decline(link: Claims) -> Action {
    let (access, reason) = (Access::Link(link), Some("no time".to_owned()));
    Action::Decline(DeclineInvitation { access, addresses: Vec::new(), reason })
}

/// Declines by name, for the recipient with an address.
pub(super) fn decline_as(invitation: &Invitation, address: Option<Address>) -> Action {
    let access = Access::Name(by_any_name(invitation));
    Action::Decline(DeclineInvitation { access, addresses: Vec::from_iter(address), reason: None })
}

/// Returns the target of the name in the invitation's own service, in any version.
pub(super) fn target(invitation: &Invitation) -> Target {
    Target { id: invitation.id, kind: Some(invitation.details.kind()), hides_deleted: true, etag: None }
}

/// Returns the target of the name for any kind, also if the invitation's own service has deleted it.
pub(super) fn by_any_name(invitation: &Invitation) -> Target {
    Target { kind: None, hides_deleted: false, ..target(invitation) }
}

pub(super) fn revoke(invitation: &Invitation) -> Action {
    Action::Revoke(RevokeInvitation { target: target(invitation) })
}

pub(super) fn resend(invitation: &Invitation, rotate: bool, ttl: Option<Ttl>) -> Action {
    let expiry = ttl.map(after);
    let (send_email, recipients) = (None, Vec::new());
    Action::Resend(ResendInvitation { target: target(invitation), rotate, expiry, send_email, recipients })
}

pub(super) fn engage(link: Claims, engagement: EngagementType) -> Action {
    Action::RecordEngagement(RecordEngagement { link, engagement, source: None })
}

pub(super) fn update(invitation: &Invitation, connection: NewConnection, acceptance: Option<AcceptanceId>) -> Action {
    Action::RecordCreatedConnection(RecordCreatedConnection {
        target: target(invitation),
        connection_id: connection.id,
        datasource_name: Some(connection.datasource_name),
        status: Some(connection.status),
        acceptance,
    })
}

/// Returns an update that changes nothing.
pub(super) fn updating(invitation: &Invitation) -> UpdateInvitation {
    UpdateInvitation {
        target: target(invitation),
        service: invitation.details.kind(),
        fields: UpdatedFields::default(),
        fixed: Vec::new(),
        added: Vec::new(),
        removed: Vec::new(),
        mails_added: false,
    }
}

/// Sets fields.
pub(super) fn set(invitation: &Invitation, fields: UpdatedFields) -> Action {
    Action::Update(Box::new(UpdateInvitation { fields, ..updating(invitation) }))
}

/// Moves the expiry.
pub(super) fn set_expiry(invitation: &Invitation, time: ExpiryTime) -> Action {
    let expiry = Some(Expiry { time, field: "expire_time" });
    set(invitation, UpdatedFields { expiry, ..UpdatedFields::default() })
}

/// Adds and removes recipients.
pub(super) fn set_recipients(invitation: &Invitation, added: &[Address], removed: &[u16], mails: bool) -> Action {
    let added = added.iter().cloned().map(|address| NewRecipient {
        address,
        display_name: None,
        avatar_uri: None,
        existing_user: None,
    });
    let (added, removed, mails_added) = (added.collect(), removed.to_vec(), mails);
    Action::Update(Box::new(UpdateInvitation { added, removed, mails_added, ..updating(invitation) }))
}

pub(super) fn delete(invitation: &Invitation) -> Action {
    Action::Delete(DeleteInvitation { target: target(invitation) })
}

/// Accepts by a system for an organization.
pub(super) fn accept_by_system(invitation: &Invitation, organization: Uuid) -> Action {
    Action::Accept(Box::new(AcceptInvitation {
        access: Access::Name(target(invitation)),
        acceptor: acceptor(&system_subject(organization)),
        created_connection: None,
        guest_organization_id: Some(organization),
        by_system: true,
        proof: None,
    }))
}

pub(super) fn sync(domains: &[&str]) -> SyncAutojoin {
    let domains = domains.iter().map(|domain| (*domain).to_owned()).collect();
    SyncAutojoin { scope: scope(), domains, widget_configuration_id: None, metadata: None, etag: None }
}

/// Returns every verb on an invitation that is [`in_state`], for its recipient, who has not accepted yet.
pub(super) fn verbs(invitation: &Invitation) -> [(&'static str, Action); 9] {
    let link = invitation.claims(1);
    [
        ("accept", accept(link, acceptor("late"))),
        ("decline", decline(link)),
        ("revoke", revoke(invitation)),
        ("resend", resend(invitation, false, None)),
        ("resend with ttl", resend(invitation, false, Some(ttl(10)))),
        ("resend with rotate", resend(invitation, true, None)),
        ("resend with both", resend(invitation, true, Some(ttl(10)))),
        ("record engagement", engage(link, EngagementType::Click)),
        ("record created connection", update(invitation, connection(1, "DOWN"), None)),
    ]
}
