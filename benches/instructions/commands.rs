//! The commands of the cases, parsed of the requests. Each has a seed of its own, so ids are the same in every run.

use bytes::Bytes;
use invitation_service::api::execute::measured::{parse_accept, parse_create, parse_create_connection};
use invitation_service::domain::command::{Action, Command, Request};
use invitation_service::domain::decide::Context;
use invitation_service::domain::delivery::notice::Notices;
use invitation_service::domain::delivery::reminder::Schedules;
use invitation_service::domain::quota::Quotas;
use invitation_service::domain::reach::Reach;
use invitation_service::domain::secret::key_ring::KeyRing;
use invitation_service::domain::secret::token::Claims;
use invitation_service::domain::value::grantable_roles::GrantableRoles;
use invitation_service::domain::value::id::IdSeed;
use invitation_service::domain::value::text::AccountId;
use invitation_service::domain::value::time::{Timestamp, Ttl};

use crate::messages;

/// The moment of everything.
pub(crate) const NOW: Timestamp = Timestamp::from_micros(1_800_000_000_000_000);
/// The settings of decisions.
pub(crate) const CONTEXT: Context =
    Context { signing_key: 1, reminders: Schedules::NONE, notices: Notices::NONE, quotas: Quotas::NONE };
/// The first seed of accepts, behind those of creates.
const ACCEPTS: u8 = 128;

/// Returns the key ring.
pub(crate) fn ring() -> KeyRing {
    KeyRing::parse(&KeyRing::format_key(1, [7; 32])).expect("a key ring")
}

/// Returns the account of all callers.
pub(crate) fn account() -> AccountId {
    AccountId::parse("acme").expect("an account")
}

/// Returns a create of a connection invitation for the n-th person.
pub(crate) fn create_for(number: u8) -> Command {
    create_connection(number, Some(number))
}

/// Returns a create of a connection invitation for anybody.
pub(crate) fn create_for_anybody() -> Command {
    create_connection(0, None)
}

fn create_connection(number: u8, person: Option<u8>) -> Command {
    let create = parse_create_connection(Bytes::from(messages::create_connection(person)));
    command(number, Action::Create(Box::new(create.expect("a valid request"))))
}

/// Returns a create of a general invitation.
pub(crate) fn create_general() -> Command {
    let create = parse_create(Bytes::from(messages::create_general()), Ttl::WEEK);
    command(0, Action::Create(Box::new(create.expect("a valid request"))))
}

/// Returns the n-th person's accept of a link.
pub(crate) fn accept(number: u8, link: &Claims) -> Command {
    let body = messages::accept(link, &ring(), number);
    let accept = parse_accept(Bytes::from(body), &ring(), &account()).expect("a valid request");
    command(ACCEPTS + number, Action::Accept(Box::new(accept)))
}

/// Returns a command of a call with a request_id.
fn command(number: u8, action: Action) -> Command {
    let digests = ring().body_digests(&[number]);
    Command {
        reach: Reach::of_account(account()),
        actor: "bench".to_owned(),
        grantable_roles: GrantableRoles::default(),
        request: Some(Request::new("Bench/Call", &format!("request-{number}"), digests)),
        seed: IdSeed::new(NOW, [number; 16]),
        action,
    }
}
