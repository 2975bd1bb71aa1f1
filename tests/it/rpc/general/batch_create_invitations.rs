//! BatchCreateInvitations: each for itself or all together, and what it would do.

use std::collections::BTreeSet;

use invitation_service::pb;
use invitation_service::pb::batch_create_invitations_result::Result as Outcome;
use invitation_service::pb::{BatchCreateInvitationsRequest as Batch, OnConflict};
use tonic::{Code, Status};
use tonic_types::StatusExt;

use crate::support::build::generals::{email, internal, into_team, with_conflict};
use crate::support::build::messages::Expiring;
use crate::support::build::{generals, messages};
use crate::support::database::TestDatabase;
use crate::support::expect::{refused, violated};
use crate::support::on_both;
use crate::support::service::Service;

on_both!(
    migrated:
    five_hundred_have_a_result_each_in_their_order,
    violation_of_one_row_is_reported_there_alone,
    duplicate_inside_a_batch_meets_the_row_before_it,
    atomic_batch_creates_all_or_reports_every_violation,
    validate_only_shows_the_invitation_and_creates_none,
    retried_batch_makes_nothing_twice,
    retried_row_with_an_id_of_its_own_makes_nothing_twice,
    request_id_of_another_batch_is_refused,
);

fn batch(requests: Vec<pb::CreateInvitationRequest>) -> Batch {
    Batch { requests, ..Default::default() }
}

/// One invitation for each of these people, which none of the others may be for.
fn people<T: std::fmt::Display>(people: impl IntoIterator<Item = T>) -> Vec<pb::CreateInvitationRequest> {
    let one = |person: T| with_conflict(into_team(&[internal(&person.to_string())]), OnConflict::Reject);
    people.into_iter().map(one).collect()
}

async fn try_run(service: &Service, batch: Batch) -> Result<Vec<Outcome>, Status> {
    let answer = service.invitations().batch_create_invitations(batch).await?.into_inner();
    Ok(answer.results.into_iter().map(|result| result.result.unwrap()).collect())
}

async fn run(service: &Service, batch: Batch) -> Vec<Outcome> {
    try_run(service, batch).await.unwrap()
}

#[track_caller]
fn made(outcome: &Outcome) -> &pb::Invitation {
    match outcome {
        Outcome::Invitation(invitation) => invitation,
        Outcome::Error(error) => panic!("refused: {error:?}"),
    }
}

/// The invitation that a refusal names.
fn named(outcome: &Outcome) -> Option<&String> {
    match outcome {
        Outcome::Invitation(_) => None,
        Outcome::Error(error) => error.metadata.get("invitation"),
    }
}

/// The code, the reason and the fields of a refusal.
#[track_caller]
fn error(outcome: &Outcome) -> (Code, &str, Vec<&str>) {
    match outcome {
        Outcome::Invitation(_) => panic!("the row should have been refused"),
        Outcome::Error(error) => {
            let fields = error.field_violations.iter().map(|violation| violation.field.as_str());
            (Code::from_i32(error.code), error.reason.as_str(), fields.collect())
        }
    }
}

const EXISTS: (Code, &str, Vec<&str>) = (Code::AlreadyExists, "INVITATION_EXISTS", Vec::new());

fn names(outcomes: &[Outcome]) -> Vec<&str> {
    outcomes.iter().map(|outcome| made(outcome).name.as_str()).collect()
}

async fn five_hundred_have_a_result_each_in_their_order(database: TestDatabase) {
    let service = Service::start(&database).await;
    let outcomes = run(&service, batch(people(0..500))).await;
    assert_eq!(outcomes.len(), 500);
    for (index, outcome) in outcomes.iter().enumerate() {
        let made = made(outcome);
        assert_eq!(made.targets[0].value, index.to_string());
        assert!(!made.invitation_token.is_empty() && !made.etag.is_empty());
    }
    let all = generals::all(&service).await;
    let (answered, read): (BTreeSet<_>, BTreeSet<_>) =
        (names(&outcomes).into_iter().collect(), all.iter().map(|made| made.name.as_str()).collect());
    assert_eq!((answered.len(), answered), (500, read));

    let many: Vec<_> = (0..100).map(|person| internal(&person.to_string())).collect();
    let full = |rows| vec![messages::general(into_team(&many)); rows];
    assert_eq!(run(&service, batch(full(50))).await.len(), 50, "5,000 targets in all");
    for (refusal, rows) in [("none", vec![]), ("501", people(0..501)), ("5,100 targets", full(51))] {
        let status = refused(try_run(&service, batch(rows)).await, Code::InvalidArgument, "INVALID_FIELD");
        assert_eq!(violated(&status), ["requests"], "{refusal}");
    }
    assert_eq!(generals::all(&service).await.len(), 550);
    service.stop().await;
}

async fn violation_of_one_row_is_reported_there_alone(database: TestDatabase) {
    let service = Service::start(&database).await;
    let late =
        pb::Invitation { expiration: messages::at(0).map(pb::invitation::Expiration::ExpireTime), ..into_team(&[]) };
    let wrong = pb::Invitation {
        expiration: messages::seconds(1).map(pb::invitation::Expiration::Ttl),
        ..into_team(&[email("x"), email("a@x.org"), email("y")])
    };
    let mut rows = people(["ann"]);
    rows.extend([messages::general(late), messages::general(wrong), pb::CreateInvitationRequest::default()]);
    rows.extend(people(["bob"]));
    let outcomes = run(&service, batch(rows)).await;
    let invalid = |fields| (Code::InvalidArgument, "INVALID_FIELD", fields);
    assert_eq!(error(&outcomes[1]), invalid(vec!["invitation.expire_time"]));
    assert_eq!(
        error(&outcomes[2]),
        invalid(vec!["invitation.targets[0].value", "invitation.targets[2].value", "invitation.ttl"])
    );
    assert_eq!(error(&outcomes[3]), invalid(vec!["invitation"]));
    let all = generals::all(&service).await;
    let all: BTreeSet<_> = all.iter().map(|made| &made.name).collect();
    assert_eq!(all, [&made(&outcomes[0]).name, &made(&outcomes[4]).name].into());
    service.stop().await;
}

async fn duplicate_inside_a_batch_meets_the_row_before_it(database: TestDatabase) {
    let service = Service::start(&database).await;
    let mut rows = people(["ann", "bob", "ann"]);
    rows.push(with_conflict(into_team(&[internal("ann")]), OnConflict::ReturnExisting));
    rows.push(with_conflict(into_team(&[internal("bob")]), OnConflict::Replace));
    rows.push(with_conflict(into_team(&[internal("bob")]), OnConflict::Allow));
    for atomic in [true, false] {
        let result = try_run(&service, Batch { atomic, ..batch(rows.clone()) }).await;
        if atomic {
            let details = refused(result, Code::AlreadyExists, "INVITATION_EXISTS").get_error_details();
            assert!(
                details.resource_info().is_none() && details.error_info().unwrap().metadata["invitation"].is_empty()
            );
            assert_eq!(generals::all(&service).await, []);
            continue;
        }
        let outcomes = result.unwrap();
        assert_eq!(error(&outcomes[2]), EXISTS);
        let Outcome::Error(exists) = &outcomes[2] else { unreachable!() };
        assert!(exists.metadata["invitation"].starts_with("invitations/"), "{:?}", exists.metadata);
        assert_eq!(made(&outcomes[3]).name, made(&outcomes[0]).name);
        assert_ne!(made(&outcomes[4]).name, made(&outcomes[1]).name);
        let replaced = messages::get_general(&service, &made(&outcomes[1]).name).await;
        assert_eq!(replaced.state(), pb::InvitationState::Revoked);
        assert_eq!(generals::all(&service).await.len(), 4);
    }
    service.stop().await;
}

async fn atomic_batch_creates_all_or_reports_every_violation(database: TestDatabase) {
    let service = Service::start(&database).await;
    let atomic = |requests| Batch { atomic: true, ..batch(requests) };
    let bad = || {
        messages::general(pb::Invitation {
            expiration: messages::seconds(1).map(pb::invitation::Expiration::Ttl),
            ..into_team(&[email("x")])
        })
    };
    let late = || {
        messages::general(pb::Invitation {
            expiration: messages::at(0).map(pb::invitation::Expiration::ExpireTime),
            ..into_team(&[])
        })
    };
    let ann = run(&service, atomic(people(["ann"]))).await;

    let mut rows = people(["bob"]);
    rows.extend([bad(), pb::CreateInvitationRequest { on_conflict: 9, ..late() }]);
    let status = refused(try_run(&service, atomic(rows)).await, Code::InvalidArgument, "INVALID_FIELD");
    let wanted = ["requests[1].invitation.targets[0].value", "requests[1].invitation.ttl", "requests[2].on_conflict"];
    assert_eq!(violated(&status), wanted);

    // A violation that only the decision finds has its place, too.
    let mut rows = people(["bob", "ann"]);
    rows.extend([late(), late()]);
    let status = refused(try_run(&service, atomic(rows)).await, Code::InvalidArgument, "INVALID_FIELD");
    assert_eq!(violated(&status), ["requests[2].invitation.expire_time", "requests[3].invitation.expire_time"]);

    let refusal = try_run(&service, atomic(people(["bob", "ann", "cid"]))).await;
    let status = refused(refusal, Code::AlreadyExists, "INVITATION_EXISTS");
    let holder = status.get_error_details().resource_info().unwrap().resource_name.clone();
    assert_eq!(holder, made(&ann[0]).name);
    assert_eq!(generals::all(&service).await.len(), 1, "nothing was made but what was there");

    assert_eq!(run(&service, atomic(people(1..=500))).await.len(), 500);
    assert_eq!(generals::all(&service).await.len(), 501);
    service.stop().await;
}

async fn validate_only_shows_the_invitation_and_creates_none(database: TestDatabase) {
    let service = Service::start(&database).await;
    let ann = generals::create(&service, into_team(&[internal("ann")])).await;
    let mut rows = people(["bob", "ann", "bob"]);
    rows.push(messages::general(pb::Invitation {
        expiration: messages::at(0).map(pb::invitation::Expiration::ExpireTime),
        ..into_team(&[])
    }));
    rows.push(with_conflict(into_team(&[internal("ann")]), OnConflict::Replace));
    rows.extend(people(["cid"]));
    let asked = Batch { validate_only: true, request_id: "asked".to_owned(), ..batch(rows.clone()) };
    for _ in 0..2 {
        let outcomes = run(&service, asked.clone()).await;
        assert_eq!((error(&outcomes[1]), error(&outcomes[2])), (EXISTS, EXISTS));
        assert_eq!(named(&outcomes[1]), Some(&ann.name));
        assert_eq!(named(&outcomes[2]), Some(&String::new()), "bob's would be that of the batch itself");
        assert_eq!(error(&outcomes[3]).2, ["invitation.expire_time"]);
        for index in [0, 4, 5] {
            let would_be = made(&outcomes[index]);
            assert_eq!([&would_be.name, &would_be.typed_name, &would_be.uid, &would_be.etag], [""; 4]);
            assert_eq!([&would_be.invitation_token, &would_be.invitation_uri], [""; 2]);
            assert_eq!(would_be.expire_time(), messages::at(30 * 86_400));
        }
    }
    let whole = try_run(&service, Batch { atomic: true, ..asked.clone() }).await;
    let status = refused(whole, Code::InvalidArgument, "INVALID_FIELD");
    assert_eq!(violated(&status), ["requests[3].invitation.expire_time"]);
    assert_eq!(generals::all(&service).await, std::slice::from_ref(&ann), "as it was");
    assert_eq!(generals::happened(&service, &ann.name).await, ["created"]);
    // The request_id is still good for the real thing.
    let outcomes = run(&service, Batch { validate_only: false, ..asked }).await;
    assert_eq!(names(&outcomes[4..]).len(), 2);
    service.stop().await;
}

async fn retried_batch_makes_nothing_twice(database: TestDatabase) {
    let service = Service::start(&database).await;
    let id = "r".repeat(128);
    for (round, atomic) in [(0, false), (1, true)] {
        let rows = people((0..40).map(|person| format!("{round}-{person}")));
        let sent = Batch { atomic, request_id: format!("{round}{}", &id[1..]), ..batch(rows) };
        let first = run(&service, sent.clone()).await;
        let again = run(&service, sent.clone()).await;
        assert_eq!(names(&again), names(&first));
        generals::revoke(&service, &made(&first[7]).name).await;
        let again = run(&service, sent.clone()).await;
        assert_eq!(names(&again), names(&first));
        assert_eq!(made(&again[7]).state(), pb::InvitationState::Revoked, "as it now is");
        assert_eq!(generals::all(&service).await.len(), 40 * (round + 1));
        let events = messages::events(&service, &made(&first[39]).name).await;
        let seen: Vec<_> = events.iter().map(|event| (event.r#type.as_str(), event.request_id.as_str())).collect();
        assert_eq!(seen, [("invitation.created", sent.request_id.as_str())], "the id of the call");
    }
    // An entry that was refused is tried again.
    let holder = generals::create(&service, into_team(&[internal("ann")])).await;
    let sent = Batch { request_id: "half".to_owned(), ..batch(people(["ann", "bob"])) };
    let first = run(&service, sent.clone()).await;
    assert_eq!(error(&first[0]), EXISTS);
    generals::revoke(&service, &holder.name).await;
    let again = run(&service, sent).await;
    assert_eq!(made(&again[1]).name, made(&first[1]).name);
    assert_eq!(made(&again[0]).state(), pb::InvitationState::Active);
    service.stop().await;
}

async fn retried_row_with_an_id_of_its_own_makes_nothing_twice(database: TestDatabase) {
    let service = Service::start(&database).await;
    let named = |person: &str, id: &str| pb::CreateInvitationRequest {
        request_id: id.to_owned(),
        ..messages::general(into_team(&[internal(person)]))
    };
    let rows = || vec![named("ann", "a"), named("bob", "b"), named("ann", "a")];
    let first = run(&service, batch(rows())).await;
    assert_eq!(made(&first[0]).name, made(&first[2]).name, "the same request twice in one batch");
    assert_eq!(names(&run(&service, batch(rows())).await), names(&first));
    assert_eq!(names(&run(&service, Batch { atomic: true, ..batch(rows()) }).await), names(&first));
    let alone = generals::try_create(&service, named("bob", "b")).await.unwrap();
    assert_eq!(alone.name, made(&first[1]).name, "as CreateInvitation would");
    let other = run(&service, batch(vec![named("eve", "a"), named("cid", "c")])).await;
    assert_eq!(error(&other[0]), (Code::FailedPrecondition, "REQUEST_ID_REUSED", vec![]));
    assert_eq!(generals::all(&service).await.len(), 3);

    let both = Batch { request_id: "r".to_owned(), ..batch(rows()) };
    let status = refused(try_run(&service, both).await, Code::InvalidArgument, "INVALID_FIELD");
    assert_eq!(violated(&status), [0, 1, 2].map(|index| format!("requests[{index}].request_id")));
    service.stop().await;
}

async fn request_id_of_another_batch_is_refused(database: TestDatabase) {
    let service = Service::start(&database).await;
    let sent = |rows| Batch { request_id: "r".to_owned(), ..batch(rows) };
    run(&service, sent(people(["ann", "bob"]))).await;
    for rows in [people(["ann", "eve"]), people(["eve"]), people(["eve", "cid", "dan"])] {
        for atomic in [false, true] {
            let other = try_run(&service, Batch { atomic, ..sent(rows.clone()) }).await;
            refused(other, Code::FailedPrecondition, "REQUEST_ID_REUSED");
        }
    }
    assert_eq!(generals::all(&service).await.len(), 2);
    service.stop().await;
}
