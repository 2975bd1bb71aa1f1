//! SettleInvitations: what is addressed to a person who came another way.

use std::collections::BTreeMap;
use std::time::Duration;

use invitation_service::pb;
use invitation_service::pb::settle_invitations_result::Result as Outcome;
use invitation_service::pb::{InvitationKind, InvitationState, SettleInvitationsRequest as Request, SettleOutcome};
use tonic::{Code, Status};

use crate::support::build::acceptances::release;
use crate::support::build::generals::{self, email, internal, into, subject, verified};
use crate::support::build::{guests, messages, users};
use crate::support::database::TestDatabase;
use crate::support::expect::{refused, violated};
use crate::support::on_both;
use crate::support::service::Service;

on_both!(
    migrated:
    person_who_came_another_way_has_nothing_open,
    kinds_and_scope_choose_what_is_settled,
    each_is_refused_for_itself_and_tried_again,
    full_scope_refuses_those_without_a_seat,
    retry_answers_the_same_and_leaves_what_came_later,
    calls_at_once_repeat_each_its_own_answer,
    retry_leaves_what_the_first_call_had_closed,
    dry_run_says_the_same_and_changes_nothing,
    no_more_than_five_hundred_are_settled_at_once,
    all_that_is_wrong_is_told_at_once,
);

const ANN: &str = "ann@example.org";

fn request(outcome: SettleOutcome) -> Request {
    Request { acceptor: Some(verified("ann", ANN)), outcome: outcome.into(), ..Default::default() }
}

async fn try_settle(service: &Service, request: Request) -> Result<pb::SettleInvitationsResponse, Status> {
    service.invitations().settle_invitations(request).await.map(tonic::Response::into_inner)
}

async fn settle(service: &Service, request: Request) -> Vec<pb::SettleInvitationsResult> {
    let answer = try_settle(service, request).await.unwrap();
    assert!(!answer.more);
    answer.results
}

/// The state of each invitation, or the reason of its error.
fn brief(results: &[pb::SettleInvitationsResult]) -> BTreeMap<String, String> {
    let brief = |result: &pb::SettleInvitationsResult| match &result.result {
        Some(Outcome::Error(error)) => error.reason.clone(),
        Some(Outcome::Acceptance(acceptance)) => {
            assert_eq!(acceptance.subject, "ann");
            format!("{:?} by acceptance", result.state())
        }
        None => format!("{:?}", result.state()),
    };
    results.iter().map(|result| (result.name.clone(), brief(result))).collect()
}

async fn team(service: &Service, team: &str, targets: &[pb::Target]) -> String {
    service.clock.advance(Duration::from_millis(1));
    let invitation = pb::Invitation { roles: vec!["reader".to_owned()], ..into(team, targets) };
    generals::create(service, invitation).await.name
}

async fn user(service: &Service) -> String {
    service.clock.advance(Duration::from_millis(1));
    format!("invitations/{}", users::create(service, users::user(ANN)).await.uid)
}

async fn state(service: &Service, name: &str) -> InvitationState {
    messages::get_general(service, name).await.state()
}

async fn person_who_came_another_way_has_nothing_open(database: TestDatabase) {
    let service = Service::start(&database).await;
    for (outcome, wanted) in
        [(SettleOutcome::Accepted, "Fulfilled by acceptance"), (SettleOutcome::Declined, "Declined")]
    {
        let own = [
            team(&service, "red", &[email("ANN@example.org")]).await,
            team(&service, "blue", &[internal("ann")]).await,
            team(&service, "both", &[email(ANN), internal("ann")]).await,
            user(&service).await,
        ];
        let others = [
            team(&service, "red", &[email("ann+x@example.org")]).await,
            team(&service, "red", &[internal("Ann")]).await,
            team(&service, "red", &[]).await,
        ];
        let settled = settle(&service, request(outcome)).await;
        assert_eq!(settled.iter().map(|result| &result.name).collect::<Vec<_>>(), own.iter().rev().collect::<Vec<_>>());
        let found = brief(&settled);
        // The other target of the same person is settled with it, by a decline of both or an accept by one.
        for name in &own {
            let is_for_two = *name == own[2] && outcome == SettleOutcome::Accepted;
            let wanted = if is_for_two { "Fulfilled by acceptance" } else { wanted };
            assert_eq!(found[name], wanted, "{name}");
        }
        let red = settled.iter().find(|result| result.name == own[0]).unwrap();
        assert_eq!((red.kind(), red.roles.as_slice()), (InvitationKind::General, &["reader".to_owned()][..]));
        assert_eq!(red.scope.as_ref().map(|scope| scope.id.as_str()), Some("red"));
        for name in &others {
            assert_eq!(state(&service, name).await, InvitationState::Active);
        }
        assert_eq!(settle(&service, request(outcome)).await, [], "nothing is left");
    }
    service.stop().await;
}

async fn kinds_and_scope_choose_what_is_settled(database: TestDatabase) {
    let service = Service::start(&database).await;
    let (red, blue) = (team(&service, "red", &[email(ANN)]).await, team(&service, "blue", &[email(ANN)]).await);
    let (user, guest) = (user(&service).await, guests::create(&service, guests::guest(ANN)).await);
    let guest = format!("invitations/{}", guest.uid);
    let scope = Some(pb::ScopeRef { r#type: "team".to_owned(), id: "red".to_owned() });
    let in_red = settle(&service, Request { scope, ..request(SettleOutcome::Accepted) }).await;
    assert_eq!(brief(&in_red).into_keys().collect::<Vec<_>>(), [red]);
    let general = vec![InvitationKind::General.into()];
    let generals = settle(&service, Request { kinds: general, ..request(SettleOutcome::Accepted) }).await;
    assert_eq!(brief(&generals).into_keys().collect::<Vec<_>>(), [blue]);
    let by_default = settle(&service, request(SettleOutcome::Accepted)).await;
    assert_eq!(brief(&by_default).into_keys().collect::<Vec<_>>(), [user]);
    let kinds = vec![InvitationKind::Guest.into(), InvitationKind::Connection.into()];
    let declined = settle(&service, Request { kinds, ..request(SettleOutcome::Declined) }).await;
    assert_eq!(brief(&declined), [(guest, "Declined".to_owned())].into());
    service.stop().await;
}

async fn each_is_refused_for_itself_and_tried_again(database: TestDatabase) {
    let service = Service::start(&database).await;
    let single = team(&service, "red", &[email(ANN)]).await;
    let invitation_type = pb::InvitationType::MultiUse.into();
    let many = pb::Invitation { invitation_type, ..into("blue", &[email(ANN)]) };
    let many = generals::create(&service, many).await.name;
    let declines =
        Request { request_id: "r".to_owned(), reason: "gone".to_owned(), ..request(SettleOutcome::Declined) };
    let wanted = BTreeMap::from([(single.clone(), "Declined".to_owned()), (many.clone(), "NOT_DECLINABLE".to_owned())]);
    for _ in 0..2 {
        let results = settle(&service, declines.clone()).await;
        assert_eq!(brief(&results), wanted);
        let refused = results.iter().find(|result| result.name == many).unwrap();
        assert_eq!((refused.kind(), refused.state()), (InvitationKind::General, InvitationState::Active));
    }
    assert_eq!(state(&service, &many).await, InvitationState::Active);
    let accepted = settle(&service, request(SettleOutcome::Accepted)).await;
    assert_eq!(brief(&accepted), [(many, "Active by acceptance".to_owned())].into());
    service.stop().await;
}

async fn full_scope_refuses_those_without_a_seat(database: TestDatabase) {
    let service = Service::start(&database).await;
    let scope = pb::ScopeRef { r#type: "team".to_owned(), id: "red".to_owned() };
    let settings = pb::ScopeSettings { scope: Some(scope), seats: Some(1), ..Default::default() };
    let limit = pb::UpdateScopeSettingsRequest { scope_settings: Some(settings), ..Default::default() };
    service.scopes().update_scope_settings(limit).await.unwrap();
    let both = [email(ANN), internal("ann")];
    let (first, second) = (team(&service, "red", &both[..1]).await, team(&service, "red", &both[1..]).await);
    let bobs = team(&service, "red", &[email("bob@example.org")]).await;
    let free = team(&service, "blue", &[email("bob@example.org")]).await;
    let settled = brief(&settle(&service, request(SettleOutcome::Accepted)).await);
    assert_eq!(settled, [(second, "Fulfilled by acceptance".to_owned())].into(), "the other was for the same seat");
    assert_eq!(state(&service, &first).await, InvitationState::Fulfilled);
    let bob = Request { acceptor: Some(verified("bob", "bob@example.org")), ..request(SettleOutcome::Accepted) };
    let results = settle(&service, bob).await;
    let outcome = |name: &str| results.iter().find(|result| result.name == name).unwrap().result.clone();
    assert!(matches!(outcome(&bobs), Some(Outcome::Error(error)) if error.reason == "SCOPE_FULL"));
    assert!(matches!(outcome(&free), Some(Outcome::Acceptance(_))));
    service.stop().await;
}

async fn retry_answers_the_same_and_leaves_what_came_later(database: TestDatabase) {
    let service = Service::start(&database).await;
    let names = [team(&service, "red", &[email(ANN)]).await, team(&service, "blue", &[internal("ann")]).await];
    let once = Request { request_id: "r".to_owned(), ..request(SettleOutcome::Accepted) };
    let first = try_settle(&service, once.clone()).await.unwrap();
    assert_eq!(first.results.len(), names.len());
    service.clock.advance(Duration::from_secs(1));
    let later = team(&service, "green", &[email(ANN)]).await;
    assert_eq!(try_settle(&service, once.clone()).await.unwrap(), first);
    assert_eq!(state(&service, &later).await, InvitationState::Active);
    let other = try_settle(&service, Request { outcome: SettleOutcome::Declined.into(), ..once.clone() }).await;
    refused(other, Code::FailedPrecondition, "REQUEST_ID_REUSED");
    let other = Request { acceptor: Some(verified("bob", ANN)), ..once };
    refused(try_settle(&service, other).await, Code::FailedPrecondition, "REQUEST_ID_REUSED");
    service.stop().await;
}

async fn calls_at_once_repeat_each_its_own_answer(database: TestDatabase) {
    let service = Service::start(&database).await;
    for outcome in [SettleOutcome::Accepted, SettleOutcome::Declined] {
        for round in 0..4 {
            team(&service, &format!("{outcome:?}-{round}"), &[email(ANN)]).await;
            let once = |name| Request { request_id: format!("{name}-{outcome:?}-{round}"), ..request(outcome) };
            let calls = ["a", "b", "c"].map(once);
            let [a, b, c] = &calls;
            let settle = |request: &Request| try_settle(&service, request.clone());
            let (first, second, third) = tokio::join!(settle(a), settle(b), settle(c));
            for (call, first) in calls.iter().zip([first, second, third]) {
                assert_eq!(settle(call).await.unwrap(), first.unwrap(), "{}", call.request_id);
            }
        }
    }
    service.stop().await;
}

async fn retry_leaves_what_the_first_call_had_closed(database: TestDatabase) {
    let service = Service::start(&database).await;
    let both = [email(ANN), internal("ann")];
    let names = [team(&service, "red", &both[..1]).await, team(&service, "red", &both[1..]).await];
    let once = Request { request_id: "r".to_owned(), ..request(SettleOutcome::Accepted) };
    let first = settle(&service, once.clone()).await;
    let [accepted] = &first[..] else { panic!("the other was for the same scope: {first:?}") };
    let Some(Outcome::Acceptance(acceptance)) = &accepted.result else { panic!("{accepted:?}") };
    release(&service, &acceptance.name, pb::ReleaseMode::Undo).await.unwrap();
    let again = settle(&service, once).await;
    for name in &names {
        assert_eq!(state(&service, name).await, InvitationState::Active, "{name} {again:?}");
    }
    assert!(again.iter().all(|result| matches!(result.result, Some(Outcome::Error(_)))), "{again:?}");
    service.stop().await;
}

async fn dry_run_says_the_same_and_changes_nothing(database: TestDatabase) {
    let service = Service::start(&database).await;
    let names = [team(&service, "red", &[email(ANN)]).await, user(&service).await];
    for outcome in [SettleOutcome::Declined, SettleOutcome::Accepted] {
        let dry = Request { validate_only: true, request_id: "r".to_owned(), ..request(outcome) };
        let told = brief(&settle(&service, dry).await);
        for name in &names {
            assert_eq!(state(&service, name).await, InvitationState::Active);
            assert_eq!(messages::events(&service, name).await.len(), 1);
        }
        if outcome == SettleOutcome::Accepted {
            assert_eq!(brief(&settle(&service, request(outcome)).await), told);
        }
    }
    service.stop().await;
}

async fn no_more_than_five_hundred_are_settled_at_once(database: TestDatabase) {
    let service = Service::start(&database).await;
    for batch in 0..6 {
        let entry = |n: usize| messages::general(into(&format!("{batch}-{n}"), &[email(ANN)]));
        let requests = (0..if batch == 5 { 3 } else { 100 }).map(entry).collect();
        let request = pb::BatchCreateInvitationsRequest { requests, ..Default::default() };
        service.invitations().batch_create_invitations(request).await.unwrap();
    }
    let once = Request { request_id: "r".to_owned(), ..request(SettleOutcome::Accepted) };
    let first = try_settle(&service, once.clone()).await.unwrap();
    assert_eq!((first.results.len(), first.more), (500, true));
    assert!(brief(&first.results).values().all(|found| found == "Fulfilled by acceptance"));
    let again = try_settle(&service, once).await.unwrap();
    assert_eq!((again.results.len(), again.more), (500, true), "a retry is no second call");
    let rest = try_settle(&service, request(SettleOutcome::Accepted)).await.unwrap();
    assert_eq!((rest.results.len(), rest.more), (3, false));
    service.stop().await;
}

async fn all_that_is_wrong_is_told_at_once(database: TestDatabase) {
    let service = Service::start(&database).await;
    let wrong = Request { kinds: vec![99], outcome: 99, ..Default::default() };
    let status = refused(try_settle(&service, wrong).await, Code::InvalidArgument, "INVALID_FIELD");
    assert_eq!(violated(&status), ["acceptor.subject", "kinds[0]", "outcome"]);
    let unverified = pb::Acceptor { email: ANN.to_owned(), ..subject("ann") };
    let wrong = Request { acceptor: Some(unverified), reason: "no".to_owned(), ..request(SettleOutcome::Accepted) };
    let status = refused(try_settle(&service, wrong).await, Code::InvalidArgument, "INVALID_FIELD");
    assert_eq!(violated(&status), ["acceptor.email_verified", "reason"]);
    let long = Request { reason: "x".repeat(301), ..request(SettleOutcome::Declined) };
    assert_eq!(
        violated(&refused(try_settle(&service, long).await, Code::InvalidArgument, "INVALID_FIELD")),
        ["reason"]
    );
    service.stop().await;
}
