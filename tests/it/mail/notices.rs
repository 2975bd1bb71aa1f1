//! Notices to inviters: one mail for an invitation, a cause and an hour, over all processes.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use invitation_service::clock::Clock;
use invitation_service::domain::command::{Action, CreateInvitation, ExpireInvitation, ReassignInvitation};
use invitation_service::domain::decide::Context;
use invitation_service::domain::delivery::Purpose;
use invitation_service::domain::delivery::notice::Notices;
use invitation_service::domain::group::Group;
use invitation_service::domain::invitation::Invitation;
use invitation_service::domain::invitation::acceptance::Acceptor;
use invitation_service::domain::kind::shared::Inviter;
use invitation_service::domain::quota::Quotas;
use invitation_service::domain::secret::key_ring::KeyRing;
use invitation_service::domain::suppression::{Suppression, SuppressionReason, SuppressionRule};
use invitation_service::domain::value::id::InvitationId;
use invitation_service::mail::mailer::{Mailer, TemplateMailer};
use invitation_service::mail::transport::{SendError, SendFailure, SharedTransport, Transport};
use invitation_service::mail::worker::{MailWorker, MailWorkerOptions};
use invitation_service::store::{AccountDeliveries, AccountPage, ClaimedDelivery, ExecutorOptions, Store, Topicality};
use tempfile::TempDir;
use uuid::Uuid;

use super::build::{composer, mail_config, ring};
use crate::support::build::commands::*;
use crate::support::database::{NEW_YEAR, TestDatabase};
use crate::support::on_both;
use crate::support::service::KEYS;

on_both!(
    migrated:
    acceptances_of_an_hour_are_one_mail_over_processes,
    declines_of_an_hour_are_one_mail,
    mail_that_did_not_arrive_is_reported_with_its_people,
    expiry_is_reported_unless_the_invitation_is_renewed,
    notices_go_to_the_present_inviter_and_never_if_suppressed,
);

const MINUTE: u64 = 60;
const OPTIONS: MailWorkerOptions =
    MailWorkerOptions { lease: Duration::from_secs(45), concurrency: 8, per_second: None, attempts: 3 };

/// Sends as the service does, to files, and refuses what goes to addresses that begin with `gone`.
#[derive(Debug)]
struct Server(TemplateMailer);

#[async_trait]
impl Mailer for Server {
    async fn deliver(&self, message: &ClaimedDelivery, topic: &Topicality) -> Result<(), SendError> {
        let address = message.delivery.address(&topic.invitation.found).unwrap();
        match address.key().starts_with("gone") {
            true => Err(SendError { kind: SendFailure::BadAddress, text: "answered 550 5.1.1 to RCPT".to_owned() }),
            false => self.0.deliver(message, topic).await,
        }
    }
}

/// Two processes on one database that tell inviters of everything, and the mail that they have sent.
struct World {
    stores: [Store; 2],
    workers: [MailWorker; 2],
    clock: Clock,
    sent: TempDir,
    known: Vec<String>,
}

fn rule() -> SuppressionRule {
    SuppressionRule { ring: KeyRing::parse(KEYS).unwrap() }
}

impl World {
    async fn start(database: &TestDatabase) -> Self {
        let (clock, sent) = (Clock::manual(NEW_YEAR), TempDir::new().unwrap());
        let usual = options(Group::run);
        let notices = Notices { accepted: true, declined: true, failed: true, expired: true };
        let quotas = Quotas { suppressions: Some(rule()), ..Quotas::NONE };
        let context = Context { notices, quotas, ..usual.context.clone() };
        let options = ExecutorOptions { context, ..usual };
        let store = store_with(database, &clock, &options).await;
        // A SQLite file belongs to one process.
        let is_shared = database.url().starts_with("postgres");
        let other = if is_shared { store_with(database, &clock, &options).await } else { store.clone() };
        let stores = [store, other];
        let config = mail_config(&[("url", &format!("dir:{}", sent.path().display()))]);
        let workers = stores.clone().map(|store| {
            let transport = SharedTransport::new(Transport::new(&config).unwrap());
            let mailer = TemplateMailer { store: store.clone(), ring: ring(7), composer: composer(&[]), transport };
            MailWorker::new(store, Arc::new(Server(mailer)), clock.clone(), OPTIONS).obeying(rule())
        });
        Self { stores, workers, clock, sent, known: Vec::new() }
    }

    /// Lets minutes pass, and both processes send at once. Returns the recipients and subjects of what is new, sorted.
    async fn after(&mut self, minutes: u64) -> Vec<String> {
        self.clock.advance(Duration::from_secs(minutes * MINUTE));
        let (one, other) = tokio::join!(self.workers[0].drain(), self.workers[1].drain());
        let claimed = one.unwrap() + other.unwrap();
        let files = std::fs::read_dir(self.sent.path()).unwrap().map(|file| file.unwrap().path());
        let mut new = Vec::new();
        for path in files {
            let name = path.display().to_string();
            if self.known.contains(&name) {
                continue;
            }
            self.known.push(name);
            let text = std::fs::read_to_string(path).unwrap();
            let text = text.replace("\r\n ", " ");
            let header = |name: &str| text.lines().find_map(|line| line.strip_prefix(name)).unwrap().to_owned();
            new.push(format!("{}: {}", header("To: "), header("Subject: ")));
        }
        new.sort();
        assert!(claimed >= new.len());
        new
    }

    async fn run(&self, action: Action) {
        self.stores[0].executor().execute(command(action), None).await.unwrap();
    }
}

/// An invitation by Ada to some addresses, which are mailed.
fn by_ada(addresses: &[&str]) -> CreateInvitation {
    let mut create = link();
    let inviter = Inviter {
        user_id: "ada".to_owned(),
        email: Some(email("ada@example.com")),
        display_name: Some("Ada".to_owned()),
        ..Inviter::default()
    };
    create.details.shared_mut().inviter = Some(inviter);
    let recipients = addresses.iter().map(|address| email(address).into()).collect();
    CreateInvitation { recipients, mails: !addresses.is_empty(), ..create }
}

fn named(invitation: &Invitation, subject: &str) -> Action {
    let acceptor = Acceptor { display_name: Some(subject.to_owned()), ..acceptor(subject) };
    Action::Accept(Box::new(accept_by(invitation, acceptor)))
}

async fn acceptances_of_an_hour_are_one_mail_over_processes(database: TestDatabase) {
    let mut world = World::start(&database).await;
    let made = created(&world.stores[0], by_ada(&[])).await;
    world.run(named(&made, "Ann")).await;
    assert_eq!(world.after(0).await, ["Ada <ada@example.com>: Ann accepted your invitation"]);
    world.clock.advance(Duration::from_secs(MINUTE));
    let accepts = (0..60).map(|n| (world.stores[n % 2].clone(), command(named(&made, &format!("Person {n}")))));
    let accepted = all_at_once(accepts).await;
    assert!(accepted.iter().all(Result::is_ok));
    world.run(named(&made, "ada")).await;
    assert!(world.after(0).await.is_empty(), "the hour is not over");
    assert_eq!(world.after(60).await, ["Ada <ada@example.com>: 60 people accepted your invitation"]);
    assert!(world.after(120).await.is_empty());
    world.run(named(&made, "Zoe")).await;
    world.run(named(&made, "Zoe")).await;
    assert_eq!(world.after(61).await, ["Ada <ada@example.com>: Zoe accepted your invitation"]);
    assert_eq!(read(&world.stores[0], made.id).await.deliveries, 0, "no message brought the link");
}

async fn declines_of_an_hour_are_one_mail(database: TestDatabase) {
    let mut world = World::start(&database).await;
    let made = created(&world.stores[0], by_ada(&["ann@example.org", "bob@example.org", "eve@example.org"])).await;
    assert_eq!(world.after(0).await.len(), 3);
    world.run(decline(&made, 1)).await;
    world.run(decline(&made, 2)).await;
    assert_eq!(world.after(6).await, ["Ada <ada@example.com>: 2 people declined your invitation"]);
    world.run(decline(&made, 3)).await;
    assert!(world.after(50).await.is_empty());
    // An address is shown with characters that keep programs from making a link of it, so the subject is encoded.
    let [told] = world.after(11).await.try_into().unwrap();
    assert!(told.starts_with("Ada <ada@example.com>: =?utf-8?b?"), "{told}");
}

async fn mail_that_did_not_arrive_is_reported_with_its_people(database: TestDatabase) {
    let mut world = World::start(&database).await;
    let made = created(&world.stores[0], by_ada(&["ann@example.org", "gone@example.org", "gone2@example.org"])).await;
    assert_eq!(world.after(0).await.len(), 1);
    assert_eq!(world.after(6).await, ["Ada <ada@example.com>: Your invitation did not reach 2 people"]);
    // The addresses are suppressed by then, so nothing is tried.
    world.run(resend(&made, false, None)).await;
    assert!(world.after(0).await.iter().all(|sent| sent.contains("ann@")));
    assert_eq!(world.after(60).await, ["Ada <ada@example.com>: Your invitation did not reach 2 people"]);
    world.run(resend(&made, false, None)).await;
    for answers in [2, 3] {
        world.run(decline(&made, answers)).await;
    }
    let sent = world.after(61).await;
    let reports = sent.iter().filter(|sent| sent.contains("ada@")).collect::<Vec<_>>();
    assert_eq!(reports, ["Ada <ada@example.com>: 2 people declined your invitation"], "they can be reached");
}

async fn expiry_is_reported_unless_the_invitation_is_renewed(database: TestDatabase) {
    let mut world = World::start(&database).await;
    let expire = |id: InvitationId| Action::Expire(ExpireInvitation { id });
    let mut made = Vec::new();
    for _ in 0..2 {
        made.push(created(&world.stores[0], CreateInvitation { expiry: after(10 * MINUTE), ..by_ada(&[]) }).await);
    }
    world.run(named(&made[0], "Ann")).await;
    assert_eq!(world.after(11).await.len(), 1);
    for one in &made {
        world.run(expire(one.id)).await;
        world.run(expire(one.id)).await;
    }
    world.run(resend(&made[1], false, Some(seconds(100 * MINUTE)))).await;
    assert_eq!(world.after(60).await, ["Ada <ada@example.com>: Your invitation has expired"]);
    assert!(world.after(100).await.is_empty());
}

async fn notices_go_to_the_present_inviter_and_never_if_suppressed(database: TestDatabase) {
    let mut world = World::start(&database).await;
    let made = created(&world.stores[0], by_ada(&[])).await;
    let suppression = Suppression {
        id: Uuid::from_u128(1),
        key: "ada@example.com".to_owned(),
        masked: "a***@example.com".to_owned(),
        reason: SuppressionReason::Manual,
        source: None,
        creator: "apiKeys/ci".to_owned(),
        created_at: world.clock.now(),
    };
    let given = (&suppression, Uuid::from_u128(2), &["ada@example.com".to_owned()][..]);
    world.stores[0].create_suppression(&account(), given, &Default::default()).await.unwrap();
    world.run(named(&made, "Ann")).await;
    assert!(world.after(0).await.is_empty());
    world.clock.advance(Duration::from_secs(MINUTE));
    world.run(named(&made, "Bob")).await;
    let bea = Inviter { email: Some(email("bea@example.com")), ..Inviter::default() };
    let reassign = ReassignInvitation { target: target(&made), from: "ada".to_owned(), to: bea };
    world.run(Action::Reassign(Box::new(reassign))).await;
    assert_eq!(world.after(61).await, ["bea@example.com: Bob accepted your invitation"]);
    let page = AccountPage { limit: 10, ..AccountPage::default() };
    let query = AccountDeliveries { page, ..AccountDeliveries::default() };
    let listed = world.stores[0].primary().list_account_deliveries(&reach(), &query).await.unwrap().rows;
    let listed = listed.iter().map(|(_, row)| (row.delivery.message.purpose, row.address.as_deref()));
    assert!(listed.eq([(Purpose::AcceptanceNotice, Some("bea@example.com")); 2]));
}
