//! Stores, commands and answers that most tests begin with.

use invitation_service::domain::kind::shared::SharedDetails;
use invitation_service::domain::value::grantable_roles::GrantableRoles;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use invitation_service::clock::Clock;
use invitation_service::domain::command::{
    AcceptInvitation, Access, Action, Command, CreateInvitation, DeclineInvitation, Expiry, ExpiryTime, OnConflict,
    RecordCreatedConnection, RecordEngagement, Request, ResendInvitation, RevokeInvitation, Target,
};
use invitation_service::domain::decide::Context;
use invitation_service::domain::delivery::notice::Notices;
use invitation_service::domain::delivery::reminder::Schedules;
use invitation_service::domain::group::{Executed, Group};
use invitation_service::domain::invitation::acceptance::{Acceptor, Subject};
use invitation_service::domain::invitation::event::{Event, Payload};
use invitation_service::domain::invitation::recipient::NewRecipient;
use invitation_service::domain::invitation::{EngagementType, Invitation};
use invitation_service::domain::kind::Details;
use invitation_service::domain::kind::connection::{ConnectionDetails, ConnectionPurpose, NewConnection};
use invitation_service::domain::quota::Quotas;
use invitation_service::domain::reach::Reach;
use invitation_service::domain::secret::key_ring::BodyDigest;
use invitation_service::domain::value::email::Email;
use invitation_service::domain::value::id::{AcceptanceId, IdSeed, InvitationId};
use invitation_service::domain::value::text::AccountId;
use invitation_service::domain::value::time::Ttl;
use invitation_service::entropy::Entropy;
use invitation_service::store::{Decide, EventQuery, ExecuteError, ExecutorOptions, Store};
use uuid::Uuid;

use crate::support::database::{NEW_YEAR, TestDatabase};

/// The result of a command.
pub(crate) type Answer = Result<Executed, ExecuteError>;

/// Any company.
pub(crate) const COMPANY: Uuid = Uuid::from_u128(0x0192_0000_0000_7000_8000_0000_0000_c0de);

/// One lane, so that what waits together is one group on either database.
pub(crate) fn options(decide: Decide) -> ExecutorOptions {
    let timeout = Duration::from_secs(20);
    let context = Context { signing_key: 7, reminders: Schedules::NONE, notices: Notices::NONE, quotas: Quotas::NONE };
    ExecutorOptions { lanes: 1, queue: 5_000, timeout, context, decide }
}

/// A store on a database, and the clock that both go by.
pub(crate) async fn store(database: &TestDatabase) -> (Store, Clock) {
    let clock = Clock::manual(NEW_YEAR);
    (store_with(database, &clock, &options(Group::run)).await, clock)
}

/// A store that works in its own way.
pub(crate) async fn store_with(database: &TestDatabase, clock: &Clock, options: &ExecutorOptions) -> Store {
    Store::start(database.open(clock).await, options)
}

/// Everybody's account but where a test says otherwise.
pub(crate) fn account() -> AccountId {
    AccountId::parse("acme").unwrap()
}

/// All of that account.
pub(crate) fn reach() -> Reach {
    Reach::of_account(account())
}

/// A command of that account.
pub(crate) fn command(action: Action) -> Command {
    let seed = IdSeed::new(NEW_YEAR, Entropy::system().bytes());
    Command {
        reach: Reach::of_account(account()),
        actor: "tester".to_owned(),
        grantable_roles: GrantableRoles::default(),
        request: None,
        seed,
        action,
    }
}

/// A command by which its caller may try again; `body` stands for what is in it.
pub(crate) fn retryable(method: &'static str, id: &str, body: u8, action: Action) -> Command {
    let digests = vec![BodyDigest { key_id: 7, mac: [body; 32] }];
    Command { request: Some(Request::new(method, id, digests)), ..command(action) }
}

/// The smallest invitation there is: a link for anyone, for ever.
pub(crate) fn link() -> CreateInvitation {
    let purpose = ConnectionPurpose::CreateConnection { prefill: None };
    CreateInvitation {
        details: Details::Connection(ConnectionDetails {
            company_id: COMPANY,
            purpose,
            shared: SharedDetails::default(),
        }),
        max_uses: None,
        expiry: None,
        recipients: Vec::new(),
        mails: false,
        labels: BTreeMap::new(),
        on_conflict: OnConflict::Allow,
    }
}

pub(crate) fn create(create: CreateInvitation) -> Action {
    Action::Create(Box::new(create))
}

/// Makes an invitation.
pub(crate) async fn created(store: &Store, invitation: CreateInvitation) -> Arc<Invitation> {
    store.executor().execute(command(create(invitation)), None).await.unwrap().invitation
}

pub(crate) fn acceptor(subject: &str) -> Acceptor {
    Acceptor {
        subject: Subject(subject.to_owned()),
        email: None,
        email_verified: false,
        phone: None,
        display_name: None,
        existing_user: None,
    }
}

pub(crate) fn accept_by(invitation: &Invitation, acceptor: Acceptor) -> AcceptInvitation {
    AcceptInvitation {
        access: Access::Link(invitation.claims(0)),
        acceptor,
        created_connection: None,
        guest_organization_id: None,
        by_system: false,
        proof: None,
    }
}

pub(crate) fn accept(invitation: &Invitation, subject: &str) -> Action {
    Action::Accept(Box::new(accept_by(invitation, acceptor(subject))))
}

pub(crate) fn decline(invitation: &Invitation, recipient: u16) -> Action {
    let access = Access::Link(invitation.claims(recipient));
    Action::Decline(DeclineInvitation { access, addresses: Vec::new(), reason: Some("no time".to_owned()) })
}

pub(crate) fn target(invitation: &Invitation) -> Target {
    Target { id: invitation.id, kind: None, hides_deleted: false, etag: None }
}

pub(crate) fn revoke(invitation: &Invitation) -> Action {
    Action::Revoke(RevokeInvitation { target: target(invitation) })
}

pub(crate) fn resend(invitation: &Invitation, rotate: bool, ttl: Option<Ttl>) -> Action {
    Action::Resend(ResendInvitation {
        send_email: None,
        target: target(invitation),
        rotate,
        recipients: Vec::new(),
        expiry: ttl.map(|ttl| Expiry { time: ExpiryTime::After(ttl), field: "ttl" }),
    })
}

/// Records all that is known of a connection.
pub(crate) fn recorded(
    made: &Invitation,
    connection: NewConnection,
    acceptance: Option<AcceptanceId>,
) -> RecordCreatedConnection {
    RecordCreatedConnection {
        target: target(made),
        connection_id: connection.id,
        datasource_name: Some(connection.datasource_name),
        status: Some(connection.status),
        acceptance,
    }
}

pub(crate) fn record(invitation: &Invitation, engagement: EngagementType) -> Action {
    Action::RecordEngagement(RecordEngagement { link: invitation.claims(0), engagement, source: None })
}

pub(crate) fn seconds(seconds: u64) -> Ttl {
    Ttl::parse(Duration::from_secs(seconds)).unwrap()
}

pub(crate) fn emails(count: usize) -> Vec<NewRecipient> {
    (0..count).map(|n| Email::parse(&format!("Person.{n}@Example.org")).unwrap().into()).collect()
}

/// Reads an invitation with its newest acceptances.
pub(crate) async fn read(store: &Store, id: InvitationId) -> Invitation {
    store.primary().get_invitation(&reach(), id, true).await.unwrap().unwrap().found
}

/// Reads all events of an invitation, the oldest first, and checks that nothing is missing in their numbers.
pub(crate) async fn events(store: &Store, id: InvitationId) -> Vec<Event> {
    let query = EventQuery { ascending: true, ..EventQuery::of(id, 10_000) };
    let events = store.primary().list_events(&reach(), &query).await.unwrap().unwrap();
    let sequences: Vec<i64> = events.iter().map(|event| event.sequence).collect();
    assert_eq!(sequences, (1..).take(events.len()).collect::<Vec<i64>>(), "sequences count from 1 without a gap");
    events
}

/// The short names of an invitation's events, in order.
pub(crate) async fn story(store: &Store, id: InvitationId) -> Vec<&'static str> {
    let names = events(store, id).await.into_iter().map(|event| event.event.event_type.known().unwrap().name());
    names.map(|name| name.trim_start_matches("invitation.")).collect()
}

/// Some seconds after the decision.
pub(crate) fn after(span: u64) -> Option<Expiry> {
    Some(Expiry { time: ExpiryTime::After(seconds(span)), field: "ttl" })
}

pub(crate) fn email(value: &str) -> Email {
    Email::parse(value).unwrap()
}

/// Runs commands side by side; the answers are in the order of the commands.
pub(crate) async fn all_at_once(commands: impl IntoIterator<Item = (Store, Command)>) -> Vec<Answer> {
    let tasks = commands
        .into_iter()
        .map(|(store, command)| tokio::spawn(async move { store.executor().execute(command, None).await }));
    let mut answers = Vec::new();
    for task in tasks.collect::<Vec<_>>() {
        answers.push(task.await.unwrap());
    }
    answers
}

/// The content of an event, as it is stored.
pub(crate) fn payload(event: &Event) -> serde_json::Value {
    event.event.payload.as_ref().map(Payload::json).unwrap_or_default()
}
