//! What the tests of the core share: invitations, links and commands in few words.

use std::collections::BTreeMap;
use std::time::Duration;

use uuid::Uuid;

use super::acceptance::{Acceptance, Acceptor, Subject};
use super::command::{
    AcceptInvitation, Action, Command, CreateInvitation, DeclineInvitation, RecordEngagement, Request,
    ResendInvitation, RevokeInvitation, Target, UpdateCreatedConnection,
};
use super::connection::{ConnectionDetails, ConnectionPurpose, NewConnection};
use super::decide::Context;
use super::details::Details;
use super::email::Email;
use super::id::{AcceptanceId, IdSeed, InvitationId};
use super::invitation::{Engagement, EngagementType, Invitation};
use super::key_ring::KeyRing;
use super::loaded::Loaded;
use super::recipient::Recipient;
use super::state::{Facts, State};
use super::text::AccountId;
use super::time::{Timestamp, Ttl};
use super::token::Claims;

/// The moment of every decision, unless a test says otherwise.
pub(super) const NOW: Timestamp = Timestamp::from_micros(1_800_000_000_000_000);
/// Key 1 signs.
pub(super) const CONTEXT: Context = Context { signing_key: 1 };

/// The moment some minutes after [`NOW`], or before it.
pub(super) fn minutes(minutes: i64) -> Timestamp {
    Timestamp::from_micros(NOW.micros() + minutes * 60_000_000)
}

pub(super) fn ttl(minutes: u64) -> Ttl {
    Ttl::parse(Duration::from_secs(minutes * 60)).unwrap()
}

pub(super) fn account(name: &str) -> AccountId {
    AccountId::parse(name).unwrap()
}

pub(super) fn email(value: &str) -> Email {
    Email::parse(value).unwrap()
}

/// The address of recipient `n` of [`invitation`].
pub(super) fn address(n: u16) -> Email {
    email(&format!("r{n}@example.org"))
}

/// A connection invitation to as many recipients, none of whom has answered, that never expires.
pub(super) fn invitation(recipients: u16, max_uses: Option<u32>) -> Invitation {
    let purpose = ConnectionPurpose::CreateConnection { prefill: None };
    Invitation {
        id: InvitationId(Uuid::from_u128(0x0192_0000_0000_7000_8000_0000_0000_0001)),
        account: account("acme"),
        details: Details::Connection(ConnectionDetails { company_id: Uuid::from_u128(0xc0), purpose }),
        facts: Facts::new(max_uses, None),
        revision: 7,
        generation: 3,
        key_id: 1,
        mails: true,
        recipients: (1..=recipients).map(|ordinal| Recipient::new(ordinal, address(ordinal))).collect(),
        labels: BTreeMap::new(),
        creator: "maker".to_owned(),
        created_at: minutes(-60),
        updated_at: minutes(-60),
        engagement: Engagement::default(),
        deliveries: 0,
        acceptances: Vec::new(),
    }
}

/// An invitation for anybody, to be accepted twice, that subject `early` has accepted; with nothing but the facts that make
/// it of this state.
pub(super) fn in_state(state: State) -> Invitation {
    let mut invitation = invitation(0, Some(2));
    invitation.facts.use_count = if state == State::Fulfilled { 2 } else { 1 };
    invitation.facts.accepted_at = Some(minutes(-50));
    invitation.facts.expire_at = Some(if state == State::Expired { NOW } else { minutes(60) });
    invitation.facts.revoked_at = (state == State::Revoked).then(|| minutes(-10));
    invitation.facts.declined_at = (state == State::Declined).then(|| minutes(-10));
    invitation
}

/// What subject `early` did: an acceptance with the connection 1.
pub(super) fn early(invitation: &Invitation) -> Acceptance {
    let id = AcceptanceId(Uuid::from_u128(0xacc1));
    let made = Some(connection(1, "LIVE"));
    Acceptance::new(id, invitation.id, &acceptor("early"), (None, None), made, minutes(-50))
}

/// A snapshot of an invitation and acceptances of it.
pub(super) fn loaded(invitation: &Invitation, acceptances: &[Acceptance]) -> Loaded {
    let mut loaded = Loaded::empty(NOW);
    loaded.put_invitation(invitation.clone());
    for acceptance in acceptances {
        loaded.put_acceptance(acceptance.clone());
    }
    loaded
}

/// A command without a request_id. Different numbers make different ids.
pub(super) fn command(number: u8, action: Action) -> Command {
    let seed = IdSeed::new(NOW, [number; 16]);
    Command { account: account("acme"), actor: "caller".to_owned(), request: None, seed, action }
}

/// The command with a request_id and the digests of a body under a ring of these keys.
pub(super) fn requested(command: Command, id: &str, body: &str, keys: &[u8]) -> Command {
    let ring: Vec<_> = keys.iter().map(|key| KeyRing::format_key(*key, [*key; 32])).collect();
    let digests = KeyRing::parse(&ring.join(",")).unwrap().body_digests(body.as_bytes());
    Command { request: Some(Request { method: "Method", id: id.to_owned(), digests }), ..command }
}

/// Somebody without an address.
pub(super) fn acceptor(subject: &str) -> Acceptor {
    person(subject, None, false)
}

pub(super) fn person(subject: &str, email: Option<Email>, email_verified: bool) -> Acceptor {
    let subject = Subject(subject.to_owned());
    Acceptor { subject, email, email_verified, phone: None, display_name: None, existing_user: None }
}

pub(super) fn connection(id: u128, status: &str) -> NewConnection {
    NewConnection { id: Uuid::from_u128(id), datasource_name: "Works".to_owned(), status: status.to_owned() }
}

pub(super) fn create(recipients: &[Email], mails: bool) -> Action {
    Action::Create(Box::new(CreateInvitation {
        details: invitation(0, None).details,
        max_uses: Some(1),
        ttl: Some(ttl(60)),
        recipients: recipients.to_vec(),
        mails,
        labels: BTreeMap::new(),
    }))
}

pub(super) fn accept(link: Claims, acceptor: Acceptor) -> Action {
    accept_with(link, acceptor, None)
}

pub(super) fn accept_with(link: Claims, acceptor: Acceptor, created_connection: Option<NewConnection>) -> Action {
    Action::Accept(Box::new(AcceptInvitation { link, acceptor, created_connection }))
}

pub(super) fn decline(link: Claims) -> Action {
    Action::Decline(DeclineInvitation { link, reason: Some("no time".to_owned()) })
}

/// The invitation by name, in any version.
pub(super) fn target(invitation: &Invitation) -> Target {
    Target { id: invitation.id, kind: Some(invitation.details.kind()), etag: None }
}

pub(super) fn revoke(invitation: &Invitation) -> Action {
    Action::Revoke(RevokeInvitation { target: target(invitation) })
}

pub(super) fn resend(invitation: &Invitation, rotate: bool, ttl: Option<Ttl>) -> Action {
    Action::Resend(ResendInvitation { target: target(invitation), rotate, ttl })
}

pub(super) fn engage(link: Claims, engagement: EngagementType) -> Action {
    Action::RecordEngagement(RecordEngagement { link, engagement, source: None })
}

pub(super) fn update(invitation: &Invitation, connection: NewConnection, acceptance: Option<AcceptanceId>) -> Action {
    Action::UpdateCreatedConnection(UpdateCreatedConnection { target: target(invitation), connection, acceptance })
}

/// Every verb on an existing invitation, for somebody who has not accepted yet.
pub(super) fn verbs(invitation: &Invitation) -> [(&'static str, Action); 9] {
    let link = invitation.claims(0);
    [
        ("accept", accept(link, acceptor("late"))),
        ("decline", decline(link)),
        ("revoke", revoke(invitation)),
        ("resend", resend(invitation, false, None)),
        ("resend with ttl", resend(invitation, false, Some(ttl(10)))),
        ("resend with rotate", resend(invitation, true, None)),
        ("resend with both", resend(invitation, true, Some(ttl(10)))),
        ("record engagement", engage(link, EngagementType::Click)),
        ("update created connection", update(invitation, connection(1, "DOWN"), None)),
    ]
}
