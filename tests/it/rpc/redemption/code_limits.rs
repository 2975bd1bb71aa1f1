//! The limits on verification codes: they meet the client who exceeds them, and give nothing away.

use std::time::Duration;

use invitation_service::pb;
use tokio::task::JoinSet;
use tonic::{Code, Status};
use tonic_types::StatusExt;

use crate::contract::codes;
use crate::contract::raw::told;
use crate::support::build::{generals, messages};
use crate::support::database::TestDatabase;
use crate::support::expect::{refused, violated};
use crate::support::on_both;
use crate::support::service::Service;

on_both!(
    migrated:
    wrong_codes_of_one_client_pause_that_client_alone,
    pause_answers_right_and_wrong_codes_alike,
    pauses_grow_and_a_right_code_ends_none,
    many_clients_together_pause_the_invitation,
    parallel_tries_are_no_more_than_single_ones,
    strangers_lock_out_nobody_who_is_invited,
    hundred_addresses_of_a_domain_get_codes_in_an_hour,
    client_gets_ten_codes_an_hour,
    clients_have_codes_of_their_own_for_one_address,
    eight_characters_prove_an_address_of_a_domain,
    client_key_is_bounded_and_kept_as_a_hash,
);

const ANN: &str = "ann@example.org";
const EVE: &str = "eve@example.org";

async fn bound(service: &Service) -> String {
    messages::create(service, messages::invitation_for(&[ANN, "bob@example.org"])).await.invitation_token
}

/// An invitation for Carl that everybody at example.net can accept.
async fn open_to_a_domain(service: &Service) -> pb::Invitation {
    let domain = pb::RecipientMatch::Domain.into();
    let invitation = generals::into_team(&[generals::email("carl@example.net")]);
    generals::create(service, pb::Invitation { recipient_match: domain, ..invitation }).await
}

/// Asserts that a call has to wait by a limit, and returns for how many seconds.
#[track_caller]
fn limited<T: std::fmt::Debug>(result: Result<T, Status>, limit: &str) -> u64 {
    let status = refused(result, Code::ResourceExhausted, "RATE_LIMITED");
    let details = status.get_error_details();
    assert_eq!(details.error_info().unwrap().metadata["limit"], limit);
    details.retry_info().unwrap().retry_delay.unwrap().as_secs()
}

#[track_caller]
fn invalid<T: std::fmt::Debug>(result: Result<T, Status>) {
    refused(result, Code::PermissionDenied, "VERIFICATION_CODE_INVALID");
}

/// Tries wrong codes for an address, each of which is counted.
async fn try_wrong(service: &Service, token: &str, email: &str, client: &str, count: usize) {
    for _ in 0..count {
        invalid(codes::verify_as(service, token, email, "000000", client).await);
    }
}

async fn wrong_codes_of_one_client_pause_that_client_alone(database: TestDatabase) {
    let service = Service::start(&database).await;
    let token = bound(&service).await;
    codes::ask(&service, &token, ANN).await.unwrap();
    let code = codes::sent(&service, ANN).await.unwrap();
    for email in [ANN, EVE, "bob@example.org"] {
        try_wrong(&service, &token, email, "attacker", 3).await;
    }
    try_wrong(&service, &token, EVE, "attacker", 2).await;
    assert_eq!(limited(codes::verify_as(&service, &token, ANN, &code, "attacker").await, "wrong_codes_per_client"), 10);
    codes::verify_as(&service, &token, ANN, &code, "honest").await.expect("another client has its own tries");
    codes::verify(&service, &token, ANN, &code).await.expect("a call without a client key is none of the attacker's");
    let elsewhere = bound(&service).await;
    try_wrong(&service, &elsewhere, ANN, "attacker", 1).await;
    service.clock.advance(Duration::from_secs(10));
    codes::verify_as(&service, &token, ANN, &code, "attacker").await.expect("the pause is over");
    service.stop().await;
}

async fn pause_answers_right_and_wrong_codes_alike(database: TestDatabase) {
    let service = Service::start(&database).await;
    let token = bound(&service).await;
    for email in [ANN, EVE] {
        codes::ask(&service, &token, email).await.unwrap();
    }
    let codes_of = [codes::sent(&service, ANN).await.unwrap(), codes::sent(&service, EVE).await.unwrap()];
    // Without a client key, all callers are one.
    try_wrong(&service, &token, "nobody@example.org", "", 11).await;
    let mut answers = Vec::new();
    for (email, code) in [
        (ANN, codes_of[0].clone()),
        (ANN, codes::other(&codes_of[0])),
        (EVE, codes_of[1].clone()),
        (EVE, codes::other(&codes_of[1])),
        ("nobody@example.org", "AAAA-AAAA".to_owned()),
    ] {
        answers.push(told(&codes::verify(&service, &token, email, &code).await.unwrap_err()));
    }
    assert!(answers.iter().all(|answer| *answer == answers[0]), "{answers:?}");
    service.clock.advance(Duration::from_secs(10));
    codes::verify(&service, &token, ANN, &codes_of[0]).await.expect("nothing was counted during the pause");
    service.stop().await;
}

async fn pauses_grow_and_a_right_code_ends_none(database: TestDatabase) {
    let service = Service::start(&database).await;
    let token = bound(&service).await;
    try_wrong(&service, &token, ANN, "a", 1).await;
    codes::ask(&service, &token, ANN).await.unwrap();
    try_wrong(&service, &token, EVE, "a", 11).await;
    for pause in [10, 20, 40, 80, 160] {
        let code = codes::sent(&service, ANN).await.unwrap();
        let wait = limited(codes::verify_as(&service, &token, ANN, &code, "a").await, "wrong_codes_per_client");
        assert_eq!(wait, pause);
        service.clock.advance(Duration::from_secs(pause));
        codes::verify_as(&service, &token, ANN, &code, "a").await.unwrap();
        try_wrong(&service, &token, EVE, "a", 1).await;
    }
    // A day after the first of them the count begins again.
    service.clock.advance(Duration::from_secs(86_400));
    try_wrong(&service, &token, EVE, "a", 1).await;
    codes::ask(&service, &token, ANN).await.unwrap();
    try_wrong(&service, &token, EVE, "a", 10).await;
    assert_eq!(limited(codes::verify_as(&service, &token, ANN, "000000", "a").await, "wrong_codes_per_client"), 10);
    service.stop().await;
}

async fn many_clients_together_pause_the_invitation(database: TestDatabase) {
    let service = Service::start(&database).await;
    let token = bound(&service).await;
    codes::ask(&service, &token, ANN).await.unwrap();
    let code = codes::sent(&service, ANN).await.unwrap();
    for client in 0..6 {
        try_wrong(&service, &token, ANN, &format!("client {client}"), 10).await;
    }
    codes::verify_as(&service, &token, ANN, &code, "honest").await.expect("60 wrong codes are free");
    try_wrong(&service, &token, ANN, "client 6", 1).await;
    for client in ["honest", "new", ""] {
        let paused = codes::verify_as(&service, &token, ANN, &code, client).await;
        assert_eq!(limited(paused, "wrong_codes_per_invitation"), 10);
    }
    let row = codes::rows(&service, "SELECT max(wrong) AS wrong FROM verification_budget").await.remove(0);
    assert_eq!(row.try_get::<i32>("", "wrong").unwrap(), 61, "a refused try counts nothing");
    service.clock.advance(Duration::from_secs(10));
    try_wrong(&service, &token, ANN, "new", 1).await;
    service.clock.advance(Duration::from_secs(20));
    codes::verify_as(&service, &token, ANN, &code, "honest").await.unwrap();
    service.stop().await;
}

async fn parallel_tries_are_no_more_than_single_ones(database: TestDatabase) {
    let service = Service::start(&database).await;
    let token = bound(&service).await;
    codes::ask(&service, &token, ANN).await.unwrap();
    let mut tries = JoinSet::new();
    for _ in 0..30 {
        let request = codes::trying_as(&token, ANN, "AAAA-AAAA", "attacker");
        let mut redemptions = service.redemptions();
        tries.spawn(async move { redemptions.verify_email(request).await });
    }
    let (wrong, paused): (Vec<_>, Vec<_>) = tries
        .join_all()
        .await
        .into_iter()
        .map(Result::unwrap_err)
        .partition(|status| status.code() == Code::PermissionDenied);
    assert_eq!(wrong.len(), 11, "{paused:?}");
    assert!(paused.into_iter().all(|status| limited(Err::<(), _>(status), "wrong_codes_per_client") == 10));
    service.stop().await;
}

async fn strangers_lock_out_nobody_who_is_invited(database: TestDatabase) {
    let service = Service::start(&database).await;
    let token = bound(&service).await;
    for number in 0..30 {
        codes::ask(&service, &token, &format!("stranger.{number}@example.org")).await.unwrap();
    }
    assert!(codes::mailed(&service).await.is_empty());
    codes::ask(&service, &token, ANN).await.unwrap();
    assert_eq!(codes::mailed(&service).await, [(1, None)]);
    let code = codes::sent(&service, ANN).await.unwrap();
    codes::verify(&service, &token, ANN, &code).await.unwrap();
    service.stop().await;
}

async fn hundred_addresses_of_a_domain_get_codes_in_an_hour(database: TestDatabase) {
    let service = Service::start(&database).await;
    let token = open_to_a_domain(&service).await.invitation_token;
    codes::ask(&service, &token, "first@example.net").await.unwrap();
    // 95 others have asked a minute ago.
    let other = "INSERT INTO verification SELECT account_id, invitation_id, address_mac || 'NUMBER', client_mac, id, key_id, length,
        tries, created_at, used_at, asked, asked_since, invited FROM verification WHERE length(address_mac) = 64";
    let past_the_service = service.connect().await;
    for number in 1..=95 {
        let other = other.replace("NUMBER", &number.to_string());
        sea_orm::ConnectionTrait::execute_unprepared(&past_the_service, &other).await.unwrap();
    }
    service.clock.advance(Duration::from_secs(60));
    let mut calls = JoinSet::new();
    for number in 0..10 {
        let (mut redemptions, email) = (service.redemptions(), format!("person.{number}@example.net"));
        let request = codes::asking(&token, &email);
        calls.spawn(async move { redemptions.send_verification_code(request).await.map(drop) });
    }
    let (sent, refused): (Vec<_>, Vec<_>) = calls.join_all().await.into_iter().partition(Result::is_ok);
    assert_eq!(sent.len(), 4);
    assert!(refused.into_iter().all(|refused| limited(refused, "emails_per_invitation") == 3_540));
    codes::ask(&service, &token, "first@example.net").await.expect("a known address is no further one");
    for _ in 0..2 {
        codes::ask(&service, &token, "carl@example.net").await.expect("an invited address is not counted");
        service.clock.advance(Duration::from_secs(60));
    }
    let stranger = codes::ask(&service, &token, "new@elsewhere.org").await;
    assert_eq!(limited(stranger, "emails_per_invitation"), 3_420, "whether an address is allowed does not matter");
    past_the_service.close().await.unwrap();
    service.stop().await;
}

async fn client_gets_ten_codes_an_hour(database: TestDatabase) {
    let service = Service::start(&database).await;
    let token = bound(&service).await;
    for number in 0..10 {
        codes::ask_as(&service, &token, &format!("stranger.{number}@example.org"), "attacker").await.unwrap();
    }
    for email in [ANN, EVE] {
        assert_eq!(limited(codes::ask_as(&service, &token, email, "attacker").await, "codes_per_client"), 3_600);
        codes::ask_as(&service, &token, email, "honest").await.unwrap();
        codes::ask(&service, &token, email).await.unwrap();
    }
    codes::ask_as(&service, &bound(&service).await, ANN, "attacker")
        .await
        .expect("another invitation counts for itself");
    service.clock.advance(Duration::from_secs(3_600));
    codes::ask_as(&service, &token, ANN, "attacker").await.unwrap();
    service.stop().await;
}

async fn clients_have_codes_of_their_own_for_one_address(database: TestDatabase) {
    let service = Service::start(&database).await;
    let token = bound(&service).await;
    codes::ask_as(&service, &token, ANN, "honest").await.unwrap();
    let honest = codes::sent(&service, ANN).await.unwrap();
    service.clock.advance(Duration::from_secs(1));
    codes::ask_as(&service, &token, ANN, "attacker").await.expect("the minute is each client's own");
    let attackers = codes::sent(&service, ANN).await.unwrap();
    let wrong =
        ["000000", "000001", "000002"].into_iter().find(|code| ![&*honest, &*attackers].contains(code)).unwrap();
    for _ in 0..5 {
        invalid(codes::verify_as(&service, &token, ANN, wrong, "attacker").await);
    }
    if honest != attackers {
        invalid(codes::verify_as(&service, &token, ANN, &attackers, "attacker").await);
    }
    codes::verify_as(&service, &token, ANN, &honest, "honest").await.expect("its tries are left");
    codes::verify_as(&service, &token, ANN, &honest, "moved").await.expect("a person may get another key meanwhile");
    for client in 2..15 {
        codes::ask_as(&service, &token, ANN, &format!("client {client}")).await.unwrap();
    }
    assert_eq!(limited(codes::ask_as(&service, &token, ANN, "client 15").await, "codes_per_email"), 3_599);
    codes::ask_as(&service, &token, EVE, "client 15").await.unwrap();
    service.stop().await;
}

async fn eight_characters_prove_an_address_of_a_domain(database: TestDatabase) {
    let service = Service::start(&database).await;
    let made = open_to_a_domain(&service).await;
    let token = made.invitation_token.as_str();
    codes::ask(&service, token, "dora@example.net").await.unwrap();
    let code = codes::sent(&service, "dora@example.net").await.unwrap();
    let (first, second) = code.split_once('-').expect("two groups");
    assert!(first.len() == 4 && second.len() == 4, "{code}");
    let violation = codes::verify(&service, token, "dora@example.net", "K7QM-4T2").await;
    assert_eq!(violated(&refused(violation, Code::InvalidArgument, "INVALID_FIELD")), ["code"]);
    // The form of a code is told by its mail alone.
    invalid(codes::verify(&service, token, "dora@example.net", "012345").await);
    invalid(codes::verify(&service, token, "dora@example.net", &codes::other(&code)).await);
    let typed = format!(" {} {} ", first.to_lowercase(), second.to_lowercase());
    let proof = codes::verify(&service, token, "dora@example.net", &typed).await.unwrap();
    let accept = messages::accept_as(token, "dora", "", false);
    let accept = pb::AcceptInvitationRequest { email_proof: proof, ..accept };
    let accepted = service.redemptions().accept_invitation(accept).await.unwrap().into_inner();
    assert_eq!(accepted.acceptance.unwrap().email, "dora@example.net");
    let bound = bound(&service).await;
    codes::ask(&service, &bound, ANN).await.unwrap();
    invalid(codes::verify(&service, &bound, ANN, "K7QM-4T2X").await);
    service.stop().await;
}

async fn client_key_is_bounded_and_kept_as_a_hash(database: TestDatabase) {
    let service = Service::start(&database).await;
    let token = bound(&service).await;
    for key in ["k".repeat(201), "a\nb".to_owned()] {
        let sent = codes::ask_as(&service, &token, ANN, &key).await;
        assert_eq!(violated(&refused(sent, Code::InvalidArgument, "INVALID_FIELD")), ["client_key"]);
        let tried = codes::verify_as(&service, &token, ANN, "000000", &key).await;
        assert_eq!(violated(&refused(tried, Code::InvalidArgument, "INVALID_FIELD")), ["client_key"]);
    }
    let key = "visitor".repeat(28);
    codes::ask_as(&service, &token, ANN, &key).await.unwrap();
    try_wrong(&service, &token, ANN, &key, 1).await;
    let sql = "SELECT client_mac FROM verification UNION SELECT client_mac FROM verification_budget";
    let mut kept: Vec<String> = Vec::new();
    for row in codes::rows(&service, sql).await {
        kept.push(row.try_get("", "client_mac").unwrap());
    }
    kept.sort();
    assert_eq!(kept.iter().map(String::len).collect::<Vec<_>>(), [0, 64]);
    assert!(kept.iter().all(|kept| !kept.contains("visitor")));
    let request = codes::trying_as(&token, ANN, "000000", &key);
    assert!(!format!("{request:?}").contains("visitor"));
    service.stop().await;
}
