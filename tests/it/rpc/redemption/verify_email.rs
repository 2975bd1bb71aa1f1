//! VerifyEmail: a code for a proof, and what the proof is good for.

use std::time::Duration;

use invitation_service::clock::Clock;
use invitation_service::pb;
use invitation_service::pb::event::Payload;
use sea_orm::ConnectionTrait;
use tokio::task::JoinSet;
use tonic::{Code, Status};

use super::keys;
use crate::contract::codes;
use crate::contract::raw::told;
use crate::support::build::{generals, messages};
use crate::support::database::{NEW_YEAR, TestDatabase};
use crate::support::expect::refused;
use crate::support::on_both;
use crate::support::service::{Service, configuration};

on_both!(
    migrated:
    code_becomes_a_proof_with_which_its_address_accepts,
    right_code_is_refused_after_five_wrong_tries,
    code_lasts_ten_minutes_and_a_newer_one_ends_it,
    code_is_used_once_however_many_use_it_at_once,
    used_code_has_the_same_proof_while_it_lives_and_no_other,
    outage_between_code_and_event_costs_nothing,
    proof_is_worth_nothing_elsewhere_or_too_late,
    auto_join_opens_with_a_proof,
    proof_serves_the_first_subject_by_link_and_by_name,
    retry_with_the_same_proof_is_the_same_acceptance,
    code_and_a_proof_outlive_a_new_key,
);

const ANN: &str = "ann@example.org";

fn invalid<T: std::fmt::Debug>(result: Result<T, Status>) -> Status {
    refused(result, Code::PermissionDenied, "VERIFICATION_CODE_INVALID")
}

/// An acceptance with a proof, by somebody who may bring an address.
fn accept(token: &str, subject: &str, email: &str, proof: &str) -> pb::AcceptInvitationRequest {
    pb::AcceptInvitationRequest { email_proof: proof.to_owned(), ..messages::accept_as(token, subject, email, false) }
}

async fn code_becomes_a_proof_with_which_its_address_accepts(database: TestDatabase) {
    let service = Service::start(&database).await;
    let made = messages::create(&service, messages::invitation_for(&[ANN, "bob@example.org"])).await;
    let token = made.invitation_token.as_str();
    codes::ask(&service, token, "bob@example.org").await.unwrap();
    let code = codes::sent(&service, "bob@example.org").await.unwrap();
    let request = codes::trying(token, "BOB@example.org", &code);
    let answer = service.redemptions().verify_email(request).await.unwrap().into_inner();
    assert_eq!(answer.expire_time, messages::at(1_800));
    assert_eq!(format!("{answer:?}"), "VerifyEmailResponse([redacted])");
    let events = messages::events(&service, &made.name).await;
    let last = events.last().unwrap();
    assert_eq!(last.r#type, "invitation.email_verified");
    let Some(Payload::EmailVerified(payload)) = &last.payload else { panic!("{last:?}") };
    assert_eq!(payload.recipient, format!("invitations/{}/recipients/2", made.uid));
    assert_eq!(messages::get(&service, &made.name).await.etag, made.etag, "the invitation itself is as it was");

    let proof = answer.email_proof.as_str();
    let mut redemptions = service.redemptions();
    let unproven = redemptions.accept_invitation(accept(token, "bob", "bob@example.org", "")).await;
    refused(unproven, Code::PermissionDenied, "EMAIL_NOT_VERIFIED");
    let other = redemptions.accept_invitation(accept(token, "ann", ANN, proof)).await;
    refused(other, Code::PermissionDenied, "EMAIL_NOT_VERIFIED");
    let accepted = redemptions.accept_invitation(accept(token, "bob", "Bob@example.org", proof)).await.unwrap();
    assert_eq!(accepted.into_inner().acceptance.unwrap().email, "Bob@example.org");
    service.stop().await;
}

async fn right_code_is_refused_after_five_wrong_tries(database: TestDatabase) {
    let service = Service::start(&database).await;
    let made = messages::create(&service, messages::invitation_for(&[ANN])).await;
    let token = made.invitation_token.as_str();
    for (wrong, right_in_the_end) in [(4, true), (5, false)] {
        service.clock.advance(Duration::from_secs(60));
        codes::ask(&service, token, ANN).await.unwrap();
        let code = codes::sent(&service, ANN).await.unwrap();
        let answers: Vec<_> = {
            let mut tries = JoinSet::new();
            for _ in 0..wrong {
                let (mut redemptions, request) =
                    (service.redemptions(), codes::trying(token, ANN, &codes::other(&code)));
                tries.spawn(async move { redemptions.verify_email(request).await });
            }
            tries.join_all().await.into_iter().map(invalid).collect()
        };
        assert!(answers.iter().all(|answer| told(answer) == told(&answers[0])));
        let last = codes::verify(&service, token, ANN, &code).await;
        if right_in_the_end {
            last.unwrap();
        } else {
            assert_eq!(told(&invalid(last)), told(&answers[0]), "nothing tells that it was right");
        }
    }
    service.stop().await;
}

async fn code_lasts_ten_minutes_and_a_newer_one_ends_it(database: TestDatabase) {
    let service = Service::start(&database).await;
    let made = messages::create(&service, messages::invitation_for(&[ANN])).await;
    let token = made.invitation_token.as_str();
    codes::ask(&service, token, ANN).await.unwrap();
    let first = codes::sent(&service, ANN).await.unwrap();
    service.clock.advance(Duration::from_secs(60));
    codes::ask(&service, token, ANN).await.unwrap();
    let second = codes::sent(&service, ANN).await.unwrap();
    if first != second {
        invalid(codes::verify(&service, token, ANN, &first).await);
    }
    service.clock.advance(Duration::from_secs(600));
    invalid(codes::verify(&service, token, ANN, &second).await);
    codes::ask(&service, token, ANN).await.unwrap();
    let third = codes::sent(&service, ANN).await.unwrap();
    service.clock.advance(Duration::from_micros(599_999_999));
    codes::verify(&service, token, ANN, &third).await.unwrap();
    service.stop().await;
}

async fn code_is_used_once_however_many_use_it_at_once(database: TestDatabase) {
    let service = Service::start(&database).await;
    let made = messages::create(&service, messages::invitation_for(&[ANN])).await;
    let token = made.invitation_token.as_str();
    codes::ask(&service, token, ANN).await.unwrap();
    let code = codes::sent(&service, ANN).await.unwrap();
    let mut calls = JoinSet::new();
    for _ in 0..5 {
        let (mut redemptions, request) = (service.redemptions(), codes::trying(token, ANN, &code));
        calls.spawn(async move { redemptions.verify_email(request).await });
    }
    let proofs = calls.join_all().await.into_iter().map(|answer| answer.unwrap().into_inner().expire_time);
    assert!(proofs.into_iter().all(|expire_time| expire_time == messages::at(1_800)));
    let happened = messages::event_types(&service, &made.name).await;
    assert_eq!(happened, ["invitation.created", "invitation.email_verified"]);
    codes::ask(&service, token, ANN).await.expect("after a code is used there is no minute to wait for");
    service.stop().await;
}

async fn used_code_has_the_same_proof_while_it_lives_and_no_other(database: TestDatabase) {
    let service = Service::start(&database).await;
    let bound = || messages::invitation_for(&[ANN, "bob@example.org"]);
    let made = [messages::create(&service, bound()).await, messages::create(&service, bound()).await];
    let token = made[0].invitation_token.as_str();
    codes::ask(&service, token, ANN).await.unwrap();
    let code = codes::sent(&service, ANN).await.unwrap();
    codes::verify(&service, token, ANN, &code).await.unwrap();
    service.clock.advance(Duration::from_secs(599));
    let again = service.redemptions().verify_email(codes::trying(token, "ANN@example.org", &code)).await;
    let again = again.unwrap().into_inner();
    assert_eq!(again.expire_time, messages::at(1_800), "the proof is no younger than the first");
    service.redemptions().accept_invitation(accept(token, "ann", "", &again.email_proof)).await.unwrap();
    for (token, email, code) in [
        (token, "bob@example.org", code.clone()),
        (made[1].invitation_token.as_str(), ANN, code.clone()),
        (token, ANN, codes::other(&code)),
    ] {
        invalid(codes::verify(&service, token, email, &code).await);
    }
    service.clock.advance(Duration::from_secs(1));
    invalid(codes::verify(&service, token, ANN, &code).await);
    let verified = messages::events(&service, &made[0].name).await;
    let verified = verified.iter().filter(|event| event.r#type == "invitation.email_verified").collect::<Vec<_>>();
    assert_eq!(verified.len(), 1);
    assert_eq!(verified[0].request_id, "", "the caller sent none");
    service.stop().await;
}

async fn outage_between_code_and_event_costs_nothing(database: TestDatabase) {
    let service = Service::start(&database).await;
    let made = messages::create(&service, messages::invitation_for(&[ANN])).await;
    let token = made.invitation_token.as_str();
    codes::ask(&service, token, ANN).await.unwrap();
    let code = codes::sent(&service, ANN).await.unwrap();
    let past_the_service = database.connect().await;
    past_the_service.execute_unprepared("ALTER TABLE event RENAME TO away").await.unwrap();
    // More often than a code can be tried.
    for _ in 0..7 {
        let failed = codes::verify(&service, token, ANN, &code).await.unwrap_err();
        assert!(matches!(failed.code(), Code::Unavailable | Code::Internal), "{failed:?}");
    }
    past_the_service.execute_unprepared("ALTER TABLE away RENAME TO event").await.unwrap();
    past_the_service.close().await.unwrap();
    let proof = codes::verify(&service, token, ANN, &code).await.unwrap();
    service.redemptions().accept_invitation(accept(token, "ann", ANN, &proof)).await.unwrap();
    let happened = messages::event_types(&service, &made.name).await;
    assert_eq!(happened, ["created", "email_verified", "accepted"].map(|name| format!("invitation.{name}")));
    service.stop().await;
}

async fn proof_is_worth_nothing_elsewhere_or_too_late(database: TestDatabase) {
    let (service, key) = keys::start(&database, &[("ours", "*"), ("theirs", "*")]).await;
    let mut made = Vec::new();
    for key in [&key[0], &key[0], &key[1]] {
        let create = keys::with(key, messages::creation(messages::invitation_for(&[ANN])));
        made.push(service.connections().create_connection_invitation(create).await.unwrap().into_inner());
    }
    let mut redemptions = service.redemptions();
    let token = made[0].invitation_token.as_str();
    redemptions.send_verification_code(keys::with(&key[0], codes::asking(token, ANN))).await.unwrap();
    let code = codes::sent(&service, ANN).await.unwrap();
    let theirs = redemptions.verify_email(keys::with(&key[1], codes::trying(token, ANN, &code))).await;
    refused(theirs, Code::NotFound, "INVITATION_NOT_FOUND");
    let proof = redemptions.verify_email(keys::with(&key[0], codes::trying(token, ANN, &code))).await.unwrap();
    let proof = proof.into_inner().email_proof;
    for (key, made) in [(&key[0], &made[1]), (&key[1], &made[2])] {
        let elsewhere = accept(&made.invitation_token, "ann", ANN, &proof);
        let elsewhere = redemptions.accept_invitation(keys::with(key, elsewhere)).await;
        refused(elsewhere, Code::PermissionDenied, "EMAIL_NOT_VERIFIED");
    }
    let mut broken = proof.clone().into_bytes();
    broken[40] = if broken[40] == b'A' { b'B' } else { b'A' };
    for forged in [String::from_utf8(broken).unwrap(), "x".to_owned(), token.to_owned()] {
        let forged = redemptions.accept_invitation(keys::with(&key[0], accept(token, "ann", ANN, &forged))).await;
        refused(forged, Code::PermissionDenied, "EMAIL_NOT_VERIFIED");
    }
    service.clock.advance(Duration::from_secs(1_800));
    let late = redemptions.accept_invitation(keys::with(&key[0], accept(token, "ann", ANN, &proof))).await;
    refused(late, Code::PermissionDenied, "EMAIL_NOT_VERIFIED");
    let late = redemptions.accept_invitation(keys::with(&key[0], accept(token, "ann", "", &proof))).await;
    refused(late, Code::PermissionDenied, "EMAIL_NOT_ALLOWED");
    service.stop().await;
}

async fn auto_join_opens_with_a_proof(database: TestDatabase) {
    let service = Service::start(&database).await;
    let sync = pb::SyncAutojoinRequest {
        scope: Some(messages::scope("team", "red")),
        domains: vec!["example.org".to_owned()],
        ..Default::default()
    };
    let made = service.scopes().sync_autojoin(sync).await.unwrap().into_inner().invitation.unwrap();
    let token = made.invitation_token.as_str();
    let proof = codes::prove(&service, token, ANN).await;
    let accepted = service.redemptions().accept_invitation(accept(token, "ann", "", &proof)).await.unwrap();
    assert_eq!(accepted.into_inner().acceptance.unwrap().email, ANN);
    assert_eq!(generals::happened(&service, &made.name).await.last().unwrap(), "accepted");
    service.stop().await;
}

async fn proof_serves_the_first_subject_by_link_and_by_name(database: TestDatabase) {
    let service = Service::start(&database).await;
    let made = messages::create(&service, messages::invitation_for(&[ANN])).await;
    let token = made.invitation_token.as_str();
    codes::ask(&service, token, ANN).await.unwrap();
    let code = codes::sent(&service, ANN).await.unwrap();
    // The same code again is the same proof, although its text differs.
    let proofs = [codes::verify(&service, token, ANN, &code).await, codes::verify(&service, token, ANN, &code).await];
    let proofs = proofs.map(Result::unwrap);
    assert_ne!(proofs[0], proofs[1]);
    let mut redemptions = service.redemptions();
    let dry = pb::AcceptInvitationRequest { validate_only: true, ..accept(token, "eve", "", &proofs[0]) };
    redemptions.accept_invitation(dry).await.expect("a dry run uses nothing");
    let accepted = redemptions.accept_invitation(accept(token, "ann", "", &proofs[0])).await.unwrap().into_inner();
    assert_eq!(accepted.acceptance.unwrap().email, ANN, "the proof stands for the address");
    let by_name = async |subject: &str, proof: &str| {
        let mut entries = generals::entries(&[&made.name]);
        entries[0].email_proof = proof.to_owned();
        let acceptor = Some(generals::subject(subject));
        let request = pb::AcceptInvitationsRequest { entries, acceptor, ..Default::default() };
        let answer = service.invitations().accept_invitations(request).await.unwrap().into_inner();
        generals::refusal(&answer.results[0]).to_owned()
    };
    for proof in &proofs {
        let other = redemptions.accept_invitation(accept(token, "eve", ANN, proof)).await;
        refused(other, Code::PermissionDenied, "EMAIL_PROOF_USED");
        assert_eq!(by_name("eve", proof).await, "EMAIL_PROOF_USED");
        let again = redemptions.accept_invitation(accept(token, "ann", ANN, proof)).await.unwrap().into_inner();
        assert!(again.already_accepted);
        assert_eq!(by_name("ann", proof).await, "");
    }
    assert_eq!(messages::get(&service, &made.name).await.use_count, 1);
    service.stop().await;
}

async fn retry_with_the_same_proof_is_the_same_acceptance(database: TestDatabase) {
    let service = Service::start(&database).await;
    let made = messages::create(&service, messages::invitation_for(&[ANN])).await;
    let token = made.invitation_token.as_str();
    let proof = codes::prove(&service, token, ANN).await;
    let request =
        pb::AcceptInvitationRequest { request_id: "accept-1".to_owned(), ..accept(token, "ann", ANN, &proof) };
    let first = service.redemptions().accept_invitation(request.clone()).await.unwrap().into_inner();
    service.clock.advance(Duration::from_secs(7_200));
    let again = service.redemptions().accept_invitation(request.clone()).await.unwrap().into_inner();
    assert_eq!(
        (again.acceptance, again.already_accepted),
        (first.acceptance, false),
        "though the proof is too old now"
    );
    let other = pb::AcceptInvitationRequest { email_proof: "other".to_owned(), ..request };
    let other = service.redemptions().accept_invitation(other).await;
    refused(other, Code::FailedPrecondition, "REQUEST_ID_REUSED");
    service.stop().await;
}

async fn code_and_a_proof_outlive_a_new_key(database: TestDatabase) {
    let old = "1:AQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQE=";
    let before = configuration(&database, &[("INVITATION__TOKEN__KEYS", old)]);
    let service = Service::start_with(before, Clock::manual(NEW_YEAR)).await;
    let made = messages::create(&service, messages::invitation_for(&[ANN, "bob@example.org"])).await;
    let token = made.invitation_token.as_str();
    let proof = codes::prove(&service, token, ANN).await;
    codes::ask(&service, token, "bob@example.org").await.unwrap();
    service.stop().await;

    let service = Service::start(&database).await;
    service.redemptions().accept_invitation(accept(token, "ann", ANN, &proof)).await.unwrap();
    let code = codes::sent(&service, "bob@example.org").await.unwrap();
    codes::verify(&service, token, "bob@example.org", &code).await.unwrap();
    service.stop().await;
}
