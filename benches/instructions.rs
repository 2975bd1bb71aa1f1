//! The cases of which `.ci/instructions` counts the instructions: what the service itself does for a call, from the bytes of the
//! request to the statement, and from the rows to the bytes of the answer. The database is a stub.
//!
//! Instructions are the same on a busy machine, so the gate may be tight. They are no times: what waits, for memory, a lock or
//! the database, is measured by `benches/load.rs`.

#![expect(clippy::expect_used, clippy::print_stdout, reason = "a benchmark has nobody to tell but its reader")]

#[path = "instructions/commands.rs"]
mod commands;
#[path = "instructions/messages.rs"]
mod messages;
#[path = "instructions/stub.rs"]
mod stub;

use std::hint::black_box;

use bytes::Bytes;
use futures_util::FutureExt;
use invitation_service::api::execute::measured::{
    connection_answer, general_answer, parse_accept, parse_create, parse_create_connection,
};
use invitation_service::domain::command::Command;
use invitation_service::domain::group::loaded::Loaded;
use invitation_service::domain::group::{Group, Save};
use invitation_service::domain::invitation::Invitation;
use invitation_service::domain::secret::token::{Claims, Token};
use invitation_service::domain::value::time::Ttl;
use invitation_service::store::measured::GroupStatements;
use sea_orm::DbBackend;

use commands::{CONTEXT, NOW};
use stub::Stub;

/// The allocator of the server.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// The runs that are counted of each case. As many go before them, uncounted: the first ones compose texts and fetch memory.
const RUNS: usize = 16;
/// The size of a group when that many calls are in flight.
const GROUP: u8 = 64;

#[tokio::main(flavor = "current_thread")]
async fn main() {
    tokens();
    requests_and_answers();
    decisions();
    statements().await;
}

/// Runs a case and prints its name with the number of runs. The n-th line belongs to the n-th count.
fn case<I, O>(name: &str, input: impl Fn() -> I, operation: impl Fn(I) -> O) {
    let inputs = || (0..RUNS).map(|_| input()).collect::<Vec<_>>();
    let (uncounted, counted) = (inputs(), inputs());
    // Results are dropped at once, as in the server.
    let run = |inputs: Vec<I>| inputs.into_iter().for_each(|input| drop(black_box(operation(black_box(input)))));
    run(uncounted);
    let mut counted = Some(counted);
    count_instructions(&mut || counted.take().into_iter().for_each(&run));
    println!("{RUNS} {name}");
}

/// Callgrind knows this function by its name, and counts while it runs.
#[inline(never)]
fn count_instructions(run: &mut dyn FnMut()) {
    run();
    black_box(());
}

fn tokens() {
    let ring = commands::ring();
    let claims = created(&commands::create_for_anybody()).claims(0);
    let token = Token::sign(&claims, &ring).expect("a token");
    let forged = format!("{}A", &token.reveal()[..token.reveal().len() - 1]);
    assert!(forged != token.reveal() && Claims::verify(&forged, &ring).is_none(), "the token is not forged");
    case("token: sign", || claims, |claims| Token::sign(&claims, &ring));
    case("token: verify", || token.reveal(), |token| Claims::verify(token, &ring).expect("a token of this ring"));
    case("token: refuse a forged one", || forged.as_str(), |token| Claims::verify(token, &ring));
}

fn requests_and_answers() {
    let (ring, account) = (commands::ring(), commands::account());
    let connection = created(&commands::create_for(0));
    let general = created(&commands::create_general());
    let accept = messages::accept(&connection.claims(0), &ring, 0);
    let bytes = |body: &[u8]| Bytes::copy_from_slice(body);
    let create = messages::create_connection(Some(0));
    case(
        "parse: create a connection invitation",
        || bytes(&create),
        |body| parse_create_connection(body).expect("a valid request"),
    );
    let create = messages::create_general();
    case(
        "parse: create a general invitation",
        || bytes(&create),
        |body| parse_create(body, Ttl::WEEK).expect("a valid request"),
    );
    case("parse: accept", || bytes(&accept), |body| parse_accept(body, &ring, &account).expect("a valid request"));
    case("convert: connection invitation", || &connection, |found| connection_answer(found, NOW).expect("an answer"));
    case("convert: general invitation", || &general, |found| general_answer(found, NOW).expect("an answer"));
}

fn decisions() {
    let create = commands::create_for(0);
    case("decide: create", || Loaded::empty(NOW), |loaded| group(loaded, std::slice::from_ref(&create)));
    let (loaded, accepts) = snapshot(&[commands::create_for(0)], 1);
    case("decide: accept", || loaded.clone(), |loaded| group(loaded, &accepts));
    let (loaded, accepts) = snapshot(&[commands::create_for_anybody()], GROUP);
    case("decide: 64 accepts of one link", || loaded.clone(), |loaded| group(loaded, &accepts));
}

async fn statements() {
    let texts = GroupStatements::new(DbBackend::Postgres);
    let creates: Vec<_> = (0..GROUP).map(commands::create_for).collect();
    let (loaded, accepts) = snapshot(&creates, GROUP);
    let accepted = group(loaded, &accepts);
    let created = group(Loaded::empty(NOW), &creates);
    let stub = Stub::answering_loads(&created, &accepts, 2 * RUNS).await;
    let load = |accepts: &[Command]| {
        let loaded = texts.load(&stub, accepts, NOW).now_or_never();
        loaded.expect("a stub that does not wait").expect("the rows of the group")
    };
    let save = |changes: &Save| {
        let saved = texts.save(&stub, changes, NOW).now_or_never();
        saved.expect("a stub that does not wait").expect("a save");
    };
    case("load: 64 accepts of 64 invitations", || accepts.as_slice(), load);
    stub.assert_all_answered();
    case("save: 64 accepts of 64 invitations", || &accepted, save);
    case("save: 64 creates", || &created, save);
}

/// Decides commands, none of which is refused, and returns what they change.
fn group(loaded: Loaded, commands: &[Command]) -> Save {
    let mut group = Group::new(loaded);
    for command in commands {
        group.run(black_box(command), &CONTEXT).expect("a command that is not refused");
    }
    group.into_save()
}

fn created(create: &Command) -> Invitation {
    let save = group(Loaded::empty(NOW), std::slice::from_ref(create));
    let (_, invitation) = save.created.first_key_value().expect("an invitation");
    Invitation::clone(invitation)
}

/// Returns a snapshot of what these commands create, and a number of accepts of it in turn.
fn snapshot(creates: &[Command], accepts: u8) -> (Loaded, Vec<Command>) {
    let mut loaded = Loaded::empty(NOW);
    let invitations: Vec<_> = creates.iter().map(created).collect();
    let links = invitations.iter().map(|invitation| invitation.claims(0)).cycle();
    let accepts = (0..accepts).zip(links).map(|(number, link)| commands::accept(number, &link)).collect();
    for invitation in invitations {
        loaded.put_invitation(invitation);
    }
    (loaded, accepts)
}
