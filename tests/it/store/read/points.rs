//! Look-ups of single rows, of which many run at once and so in groups: they answer each caller alone, by statements that read
//! only their rows.

use futures_util::future::join_all;
use invitation_service::clock::Clock;
use invitation_service::domain::command::{AcceptInvitation, Action, Command, CreateInvitation};
use invitation_service::domain::group::{Executed, Group};
use invitation_service::domain::invitation::acceptance::Acceptance;
use invitation_service::domain::kind::Details;
use invitation_service::domain::kind::connection::{ConnectionDetails, ConnectionPurpose, NewConnection};
use invitation_service::domain::kind::shared::SharedDetails;
use invitation_service::domain::organization_grant::OrganizationGrant;
use invitation_service::domain::reach::Reach;
use invitation_service::domain::value::id::{AcceptanceId, IdSeed, InvitationId};
use invitation_service::domain::value::text::AccountId;
use invitation_service::domain::webhook::Endpoint;
use invitation_service::entropy::Entropy;
use invitation_service::store::{Store, WriteOnce};
use sea_orm::ConnectionTrait;
use uuid::Uuid;

use crate::store::plans_make::{GROW, endpoint};
use crate::support::build::commands::*;
use crate::support::build::kinds::*;
use crate::support::database::{NEW_YEAR, TestDatabase};
use crate::support::explain::Executions;
use crate::support::on_both;

on_both!(migrated: look_ups_at_once_answer_each_caller_alone);

/// The number of rows the tables grow by.
const ROWS: u64 = 30_000;

/// The callers of each look-up at once.
const CALLERS: u128 = 32;

/// The most rows that may come out of one node of a plan, and the most pages that a statement may look at, for a group of as
/// many keys. Reading a table or an index of all rows takes more.
const MAX_ROWS: u64 = 500;
const MAX_PAGES: u64 = 600;

/// A connection that invitations of every account know.
const CONNECTION: Uuid = Uuid::from_u128(78);
const UNKNOWN: Uuid = Uuid::from_u128(99);

/// The rows of one account. Ids, scopes and connections are the same in every account; only the ids of invitations differ.
struct Known {
    reach: Reach,
    autojoin: InvitationId,
    /// The newest invitation that knows [`CONNECTION`].
    connection: InvitationId,
    /// Of a guest of [`HOST`].
    acceptance: Acceptance,
    grant: OrganizationGrant,
    endpoint: Endpoint,
}

impl Known {
    async fn create(store: &Store, clock: &Clock, account: &str) -> Self {
        let reach = Reach::of_account(AccountId::parse(account).unwrap());
        let run = async |action| run(store, clock, &reach, action).await;
        let autojoin = run(sync("red", &["x.org"])).await.invitation.id;
        let details = ConnectionDetails {
            company_id: COMPANY,
            purpose: ConnectionPurpose::EditConnection { connection_id: CONNECTION },
            shared: SharedDetails::default(),
        };
        let repair = CreateInvitation { details: Details::Connection(details), ..link() };
        run(create(repair)).await;
        let made = run(create(link())).await.invitation;
        let created = NewConnection { id: CONNECTION, datasource_name: String::new(), status: String::new() };
        let accept = accept_by(&made, acceptor("ann"));
        run(Action::Accept(Box::new(AcceptInvitation { created_connection: Some(created), ..accept }))).await;
        let hosted = run(create(guest("ann@example.org"))).await.invitation;
        let mut ann = acceptor("ann");
        ann.email = Some(email("ann@example.org").into());
        ann.email_verified = true;
        let accept = AcceptInvitation { guest_organization_id: Some(COMPANY), ..accept_by(&hosted, ann) };
        let acceptance = run(Action::Accept(Box::new(accept))).await.acceptance.unwrap();
        let grant = OrganizationGrant {
            id: Uuid::from_u128(1),
            requester: COMPANY,
            target: HOST,
            permissions: vec!["guests.read".to_owned(), "a \"b\" \\ ü".to_owned()],
            revision: 1,
            creator: account.to_owned(),
            created_at: NEW_YEAR,
            updated_at: clock.now(),
        };
        store.create_organization_grant(reach.account(), &grant, &WriteOnce::default()).await.unwrap();
        let mut endpoint = endpoint(&IdSeed::new(NEW_YEAR, [0; 16]), NEW_YEAR);
        endpoint.creator = account.to_owned();
        endpoint.secrets.previous = Some(("former".to_owned(), clock.now()));
        store.create_webhook_endpoint(reach.account(), &endpoint, &WriteOnce::default()).await.unwrap().unwrap();
        Self { reach, autojoin, connection: made.id, acceptance, grant, endpoint }
    }

    fn of_host(&self, host: Uuid) -> Reach {
        Reach::of_hosts(self.reach.account().clone(), vec![host])
    }

    /// Looks for an auto-join, and for invitations by a connection and by their ids.
    async fn check_invitations(&self, store: &Store, other: &Self) {
        let (reads, scope) = (store.primary(), team("red").unwrap());
        let [all, host] = [self.reach.clone(), self.of_host(HOST)];
        let nowhere = team("blue").unwrap();
        let (found, hidden, missing, by_id, of_another) = tokio::join!(
            reads.find_autojoin(&all, &scope),
            reads.find_autojoin(&host, &scope),
            reads.find_autojoin(&all, &nowhere),
            reads.get_invitation(&all, self.acceptance.invitation, true),
            reads.get_invitation(&all, other.autojoin, false),
        );
        assert_eq!(found.unwrap().map(|read| read.found.id), Some(self.autojoin));
        assert!(hidden.unwrap().is_none() && missing.unwrap().is_none() && of_another.unwrap().is_none());
        assert_eq!(by_id.unwrap().unwrap().found.acceptances, std::slice::from_ref(&self.acceptance));
        let (found, hidden, missing) = tokio::join!(
            store.find_by_connection(&all, CONNECTION),
            store.find_by_connection(&host, CONNECTION),
            store.find_by_connection(&all, UNKNOWN),
        );
        assert_eq!(found.unwrap().map(|read| read.found.id), Some(self.connection));
        assert!(hidden.unwrap().is_none() && missing.unwrap().is_none());
    }

    async fn check_acceptances(&self, store: &Store, other: &Self) {
        let (reads, [all, host, stranger]) =
            (store.primary(), [self.reach.clone(), self.of_host(HOST), self.of_host(COMPANY)]);
        let nobody = Reach::of_hosts(all.account().clone(), Vec::new());
        let (invitation, id) = (self.acceptance.invitation, self.acceptance.id);
        let (found, hosted, hidden, denied, elsewhere, of_another) = tokio::join!(
            reads.get_acceptance(&all, invitation, id),
            reads.get_acceptance(&host, invitation, id),
            reads.get_acceptance(&stranger, invitation, id),
            reads.get_acceptance(&nobody, invitation, id),
            reads.get_acceptance(&all, self.connection, id),
            reads.get_acceptance(&all, other.acceptance.invitation, other.acceptance.id),
        );
        assert_eq!([found.unwrap(), hosted.unwrap()], [Some(self.acceptance.clone()), Some(self.acceptance.clone())]);
        assert_eq!([hidden.unwrap(), denied.unwrap(), elsewhere.unwrap(), of_another.unwrap()], [const { None }; 4]);
    }

    async fn check_organizations_and_endpoints(&self, store: &Store) {
        let (reads, account) = (store.primary(), self.reach.account());
        let (by_id, by_ends, wrong_way, missing) = tokio::join!(
            reads.get_organization_grant(account, self.grant.id),
            store.find_organization_grant(account, COMPANY, HOST),
            store.find_organization_grant(account, HOST, COMPANY),
            reads.get_organization_grant(account, UNKNOWN),
        );
        assert_eq!([by_id.unwrap(), by_ends.unwrap()], [Some(self.grant.clone()), Some(self.grant.clone())]);
        assert_eq!([wrong_way.unwrap(), missing.unwrap()], [None, None]);
        let (found, missing) = tokio::join!(
            reads.get_webhook_endpoint(account, self.endpoint.id),
            reads.get_webhook_endpoint(account, UNKNOWN)
        );
        assert_eq!([found.unwrap(), missing.unwrap()], [Some(self.endpoint.clone()), None]);
    }
}

async fn run(store: &Store, clock: &Clock, reach: &Reach, action: Action) -> Executed {
    clock.advance(std::time::Duration::from_secs(1));
    let seed = IdSeed::new(clock.now(), Entropy::system().bytes());
    let command = Command { reach: reach.clone(), seed, ..command(action) };
    store.executor().execute(command, None).await.unwrap()
}

async fn look_ups_at_once_answer_each_caller_alone(database: TestDatabase) {
    let (store, clock) = store(&database).await;
    let known = [Known::create(&store, &clock, "acme").await, Known::create(&store, &clock, "Acme").await];
    let check = |caller: usize| {
        let (own, other, store) = (&known[caller % 2], &known[(caller + 1) % 2], &store);
        async move {
            let invitations = own.check_invitations(store, other);
            let rows = own.check_organizations_and_endpoints(store);
            tokio::join!(invitations, own.check_acceptances(store, other), rows);
        }
    };
    join_all((0..40).map(check)).await;
}

/// Looks many rows of every kind up at once, few of which there are.
async fn look_everything_up(store: &Store, known: &Known) {
    let (reads, reach, account) = (store.primary(), &known.reach, known.reach.account());
    let ids = || (0..CALLERS).map(|n| Uuid::from_u128(1_000 + n)).chain([CONNECTION]);
    let autojoins = (0..CALLERS).map(|n| async move {
        reads.find_autojoin(reach, &team(if n % 2 == 0 { "red" } else { "blue" }).unwrap()).await.unwrap();
    });
    let connections = ids().map(|id| async move { store.find_by_connection(reach, id).await.unwrap().is_some() });
    let gets = ids().map(|id| async move { reads.get_invitation(reach, InvitationId(id), true).await.unwrap() });
    let acceptances = ids().chain([known.acceptance.id.0]).map(|id| async move {
        reads.get_acceptance(reach, known.acceptance.invitation, AcceptanceId(id)).await.unwrap()
    });
    let grants = ids().map(|id| async move { reads.get_organization_grant(account, id).await.unwrap() });
    let ends = ids().map(|id| async move { store.find_organization_grant(account, id, HOST).await.unwrap() });
    let endpoints = ids().map(|id| async move { reads.get_webhook_endpoint(account, id).await.unwrap() });
    tokio::join!(
        join_all(gets),
        join_all(autojoins),
        join_all(connections),
        join_all(acceptances),
        join_all(grants),
        join_all(ends),
        join_all(endpoints),
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2, crate = "crate::support::limit")]
async fn look_ups_in_groups_read_only_their_rows() {
    let Some(owner) = TestDatabase::postgres().await else { return };
    let database = owner.without_statistics().await;
    let clock = Clock::manual(NEW_YEAR);
    let store = Store::start(database.open_with(&clock, 1).await, &options(Group::run));
    let known = Known::create(&store, &clock, "acme").await;
    run(&store, &clock, &known.reach, create(general(team("red"), Default::default(), &[internal("x")]))).await;
    look_everything_up(&store, &known).await;
    let grow = GROW.replace("ROWS", &ROWS.to_string()).replace("NEW_YEAR", &NEW_YEAR.micros().to_string());
    owner.connect().await.execute_unprepared(&grow).await.unwrap();
    let mut watched = Executions::of(&database);
    look_everything_up(&store, &known).await;
    // The plan of a connection's last statement is logged when the next one begins.
    store.last_position().await.unwrap();
    let executions = watched.take();
    for table in ["invitation i", "acceptance t", "organization_grant t", "webhook_endpoint t"] {
        let joined = format!("JOIN {table}");
        assert!(executions.iter().any(|execution| execution.sql.contains(&joined)), "{table} was read in groups");
    }
    let late = executions.iter().filter(|it| it.rows > MAX_ROWS || it.pages > MAX_PAGES);
    let late: Vec<_> =
        late.map(|it| format!("{} rows, {} pages\n{}\n{}", it.rows, it.pages, it.sql, it.plan)).collect();
    assert!(late.is_empty(), "{}", late.join("\n"));
}
