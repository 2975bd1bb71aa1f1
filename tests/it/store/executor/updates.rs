//! Updates against everything else: whatever runs at once has a serial order, on one store and over two replicas.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use invitation_service::clock::Clock;
use invitation_service::domain::command::{
    AcceptInvitation, Access, Action, Command, CreateInvitation, ExpireInvitation, Expiry, ExpiryTime, MapUpdate,
    OnConflict, Target, UpdateInvitation, UpdatedFields,
};
use invitation_service::domain::group::loaded::Loaded;
use invitation_service::domain::group::{Executed, Group};
use invitation_service::domain::invitation::Invitation;
use invitation_service::domain::invitation::refusal::Refusal;
use invitation_service::domain::value::time::Timestamp;
use invitation_service::store::{ExecuteError, ExecutorOptions, Store};

use super::races::deal;
use crate::support::build::commands::*;
use crate::support::build::kinds::{mail, set, set_recipients, texts, user};
use crate::support::database::{NEW_YEAR, TestDatabase};
use crate::support::on_both;

on_both!(
    migrated:
    update_against_everything_else_has_a_serial_order,
    update_against_the_expiry_has_a_serial_order,
    one_of_many_updates_of_an_etag_wins,
    address_is_won_by_one_of_many_updates,
);

const ROUNDS: u64 = 8;
const PEOPLE: usize = 6;

/// One store on SQLite, two replicas with several lanes each on PostgreSQL, and their clock.
async fn replicas(database: &TestDatabase) -> (Vec<Store>, Clock) {
    let clock = Clock::manual(NEW_YEAR);
    let options = ExecutorOptions { lanes: 3, ..options(Group::run) };
    let mut stores = vec![store_with(database, &clock, &options).await];
    if database.url().starts_with("postgres") {
        stores.push(store_with(database, &clock, &options).await);
    }
    (stores, clock)
}

/// A link for a few people by their addresses, each of whom is mailed.
fn for_people() -> CreateInvitation {
    let recipients = (0..PEOPLE).map(|n| email(&format!("p{n}@example.org")).into()).collect();
    CreateInvitation { max_uses: Some(3), expiry: after(600), recipients, mails: true, ..link() }
}

fn accept_as(made: &Invitation, person: usize) -> Action {
    let address = email(&format!("p{person}@example.org"));
    let mut acceptor = acceptor(&format!("subject {person}"));
    (acceptor.email, acceptor.email_verified) = (Some(address.into()), true);
    Action::Accept(Box::new(AcceptInvitation { access: Access::Name(target(made)), ..accept_by(made, acceptor) }))
}

fn max_uses(made: &Invitation, most: u32) -> Action {
    set(made, UpdatedFields { max_uses: Some(Some(most)), ..UpdatedFields::default() })
}

fn label(made: &Invitation, key: &str, value: Option<&str>) -> Action {
    let labels = MapUpdate::Entries([(key.to_owned(), value.map(str::to_owned))].into());
    set(made, UpdatedFields { labels: Some(labels), ..UpdatedFields::default() })
}

fn expiry(made: &Invitation, span: u64) -> Action {
    let expiry = Some(Expiry { time: ExpiryTime::After(seconds(span)), field: "ttl" });
    set(made, UpdatedFields { expiry, ..UpdatedFields::default() })
}

/// Each command under a name of its own, so that its events show which one it was.
fn named(actions: Vec<Action>) -> Vec<Command> {
    let named = actions.into_iter().enumerate();
    named.map(|(n, action)| Command { actor: format!("c{n}"), ..command(action) }).collect()
}

/// The parts of an invitation that commands decide.
fn face(invitation: &Invitation) -> String {
    let Invitation { facts, revision, generation, mails, recipients, labels, updater, details, .. } = invitation;
    format!("{facts:?} {revision} {generation} {mails} {recipients:?} {labels:?} {updater} {details:?}")
}

fn decided(group: &mut Group, command: &Command) -> Result<Executed, ExecuteError> {
    group.run(command, &options(Group::run).context).map_err(ExecuteError::Refused)
}

/// Checks that the answers are those of some order: the commands that have taken effect in the order of their events, and each of
/// the others at a place between them.
async fn check_order(
    store: &Store,
    before: &Invitation,
    now: Timestamp,
    commands: &[Command],
    answers: &[Answer],
) -> usize {
    let mut order: Vec<String> = events(store, before.id).await.into_iter().map(|event| event.event.actor).collect();
    order.retain(|actor| commands.iter().any(|command| command.actor == *actor));
    order.dedup();
    let by_actor: BTreeMap<_, _> = commands.iter().map(|command| (command.actor.clone(), command)).collect();
    let mut loaded = Loaded::empty(now);
    loaded.put_invitation(before.clone());
    let mut group = Group::new(loaded);
    let mut moments = vec![group.clone()];
    for actor in &order {
        let done =
            decided(&mut group, by_actor[actor]).unwrap_or_else(|error| panic!("{actor}: {error:?} in {order:?}"));
        assert!(done.happened, "{actor} has events");
        moments.push(group.clone());
    }
    let last = group
        .save()
        .updated
        .get(&before.id)
        .map_or_else(|| Arc::new(before.clone()), |last| Arc::clone(&last.invitation));
    assert_eq!(face(&read(store, before.id).await), face(&last), "in the order {order:?}");
    for (command, answer) in commands.iter().zip(answers).filter(|(command, _)| !order.contains(&command.actor)) {
        let is_answer = |moment: &Group| match (decided(&mut moment.clone(), command), answer) {
            (Ok(there), Ok(here)) => !there.happened && !here.happened,
            (Err(there), Err(here)) => there == *here,
            (Ok(_), Err(_)) | (Err(_), Ok(_)) => false,
        };
        assert!(
            moments.iter().any(is_answer),
            "{}: {:?} fits nowhere in {order:?}",
            command.actor,
            answer.as_ref().err()
        );
    }
    order.len()
}

async fn update_against_everything_else_has_a_serial_order(database: TestDatabase) {
    let (stores, clock) = replicas(&database).await;
    let mut effects = 0;
    for round in 0..ROUNDS {
        let made = created(&stores[0], for_people()).await;
        let before = read(&stores[0], made.id).await;
        let mut actions = Vec::new();
        for person in 0..PEOPLE {
            let ordinal = u16::try_from(person).unwrap() + 1;
            let address = mail(&format!("new{person}@example.org"));
            actions.extend([
                accept_as(&made, person),
                decline(&made, u16::try_from((person + 3) % PEOPLE).unwrap() + 1),
                set_recipients(&made, &[address], &[ordinal], true),
                max_uses(&made, u32::try_from(person).unwrap() + 1),
                label(&made, "wave", Some(&person.to_string())),
                label(&made, "other", (person % 2 == 0).then_some("x")),
                expiry(&made, 60 * (person as u64 + 1)),
            ]);
        }
        actions.extend([resend(&made, true, None), resend(&made, false, Some(seconds(900)))]);
        if round % 2 == 0 {
            actions.insert(actions.len() / 2, revoke(&made));
        }
        let commands = named(actions);
        let answers = deal(&stores, commands.clone()).await;
        effects += check_order(&stores[0], &before, clock.now(), &commands, &answers).await;
        // A message that waits is to somebody who can still use its link.
        let waiting = "SELECT CAST(o.recipient AS text) FROM outbox o JOIN recipient r ON r.account_id = o.account_id
            AND r.invitation_id = o.invitation_id AND r.ordinal = o.recipient
            WHERE o.state = 'queued' AND r.recipient_type = 'removed'";
        assert!(texts(&database, waiting).await.is_empty(), "round {round}");
    }
    assert!(effects > 100, "most of them take effect: {effects}");
}

async fn update_against_the_expiry_has_a_serial_order(database: TestDatabase) {
    let (stores, clock) = replicas(&database).await;
    for round in 0..ROUNDS {
        let made = created(&stores[0], for_people()).await;
        let before = read(&stores[0], made.id).await;
        clock.advance(Duration::from_secs(600 + round % 2));
        let mut actions: Vec<_> = (0..PEOPLE).map(|person| accept_as(&made, person)).collect();
        actions.extend((0..3).map(|_| Action::Expire(ExpireInvitation { id: made.id })));
        actions.extend([expiry(&made, 60), expiry(&made, 900), label(&made, "late", Some("yes"))]);
        actions.extend([max_uses(&made, 1), resend(&made, false, Some(seconds(300))), decline(&made, 1)]);
        actions.push(set_recipients(&made, &[mail("new@example.org")], &[2], true));
        actions.rotate_left(usize::try_from(round).unwrap());
        let commands = named(actions);
        let answers = deal(&stores, commands.clone()).await;
        check_order(&stores[0], &before, clock.now(), &commands, &answers).await;
    }
}

async fn one_of_many_updates_of_an_etag_wins(database: TestDatabase) {
    let (stores, _) = replicas(&database).await;
    for _ in 0..ROUNDS {
        let made = created(&stores[0], for_people()).await;
        let update = |n: usize| {
            let Action::Update(update) = label(&made, "winner", Some(&n.to_string())) else { panic!("no update") };
            let target = Target { etag: Some(made.etag()), ..update.target.clone() };
            command(Action::Update(Box::new(UpdateInvitation { target, ..*update })))
        };
        let answers = deal(&stores, (0..40).map(update)).await;
        let winners: Vec<_> = answers.iter().enumerate().filter(|(_, answer)| answer.is_ok()).map(|(n, _)| n).collect();
        assert_eq!(winners.len(), 1, "{winners:?}");
        let stale = ExecuteError::Refused(Refusal::EtagMismatch);
        assert!(answers.iter().filter_map(|answer| answer.as_ref().err()).all(|error| *error == stale));
        let found = read(&stores[0], made.id).await;
        assert_eq!((found.labels["winner"].clone(), found.revision), (winners[0].to_string(), made.revision + 1));
    }
}

async fn address_is_won_by_one_of_many_updates(database: TestDatabase) {
    let (stores, _) = replicas(&database).await;
    for round in 0..ROUNDS {
        let mut made = Vec::new();
        for n in 0..20 {
            made.push(created(&stores[0], user(&format!("wrong{round}-{n}@example.org"))).await);
        }
        let right = mail(&format!("right{round}@example.org"));
        let corrections =
            made.iter().map(|made| command(set_recipients(made, std::slice::from_ref(&right), &[1], false)));
        let answers = deal(&stores, corrections).await;
        let winner: Vec<_> = answers.iter().filter_map(|answer| answer.as_ref().ok()).collect();
        assert_eq!(winner.len(), 1);
        let exists = Refusal::InvitationExists(winner[0].invitation.id, winner[0].invitation.details.kind());
        let exists = ExecuteError::Refused(exists);
        assert!(answers.iter().filter_map(|answer| answer.as_ref().err()).all(|error| *error == exists));
        // Whoever has lost still has its own address, and nobody else can take that.
        let loser = made.iter().position(|made| made.id != winner[0].invitation.id).unwrap();
        let address = format!("wrong{round}-{loser}@example.org");
        let again = CreateInvitation { on_conflict: OnConflict::Reject, ..user(&address) };
        let refused = stores[0].executor().execute(command(create(again)), None).await.unwrap_err();
        assert!(matches!(refused, ExecuteError::Refused(Refusal::InvitationExists(id, _)) if id == made[loser].id));
    }
}
