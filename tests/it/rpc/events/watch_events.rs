//! WatchEvents: what happens, as it happens, from any place on.

use std::collections::BTreeMap;
use std::time::Duration;

use invitation_service::clock::Clock;
use invitation_service::pb;
use invitation_service::pb::watch_events_request::Start;
use invitation_service::pb::{WatchEventsRequest as Watch, WatchEventsResponse as Response};
use tokio::time::timeout;
use tonic::{Code, Request, Status, Streaming};

use crate::rpc::redemption::keys;
use crate::support::build::guests::{HOST, OTHER_HOST};
use crate::support::build::{guests, messages};
use crate::support::database::{NEW_YEAR, TestDatabase};
use crate::support::expect::{reason, refused, violated};
use crate::support::on_both;
use crate::support::service::{Service, configuration};

on_both!(
    migrated:
    watch_shows_what_happens_from_now_on_in_its_order,
    dropped_watch_resumes_behind_its_last_event,
    only_a_token_of_the_account_is_a_place_to_go_on,
    account_sees_its_own_and_a_bound_credential_its_reach,
    watch_lasts_until_its_client_or_the_service_ends_it,
    expiry_is_watched_like_anything_else,
);

/// The time that a test waits for an event before it fails.
const PATIENCE: Duration = Duration::from_secs(20);

async fn watch(service: &Service, types: &[&str], resume_token: &str) -> Result<Streaming<Response>, Status> {
    let types = types.iter().map(|name| (*name).to_owned()).collect();
    let request = Watch { types, ..messages::watch(resume_token) };
    service.events().watch_events(request).await.map(tonic::Response::into_inner)
}

async fn next(stream: &mut Streaming<Response>) -> Result<pb::Event, Status> {
    timeout(PATIENCE, messages::next_event(stream)).await.expect("something happens")
}

/// Takes the next events of a watch: their types, in order.
async fn types(stream: &mut Streaming<Response>, count: usize) -> Vec<String> {
    let mut seen = Vec::new();
    for _ in 0..count {
        seen.push(next(stream).await.unwrap().r#type);
    }
    seen
}

async fn accepted(service: &Service, made: &pb::ConnectionInvitation, subject: &str) {
    service.redemptions().accept_invitation(messages::accept(&made.invitation_token, subject)).await.unwrap();
}

async fn watch_shows_what_happens_from_now_on_in_its_order(database: TestDatabase) {
    let service = Service::start(&database).await;
    let before = messages::create(&service, messages::invitation()).await;
    // Until what came before has its place, it may come again.
    while messages::events(&service, &before.name).await[0].resume_token.is_empty() {
        tokio::task::yield_now().await;
    }
    let mut all = watch(&service, &[], "").await.unwrap();
    let mut some = watch(&service, &["invitation.accepted", "invitation.revoked"], "").await.unwrap();
    let made = messages::create(&service, messages::invitation()).await;
    accepted(&service, &made, "ann").await;
    messages::revoke(&service, &made.name).await.unwrap();
    let mut seen = Vec::new();
    for _ in 0..3 {
        seen.push(next(&mut all).await.unwrap());
    }
    let stripped = |events: &[pb::Event]| {
        events.iter().map(|event| pb::Event { resume_token: String::new(), ..event.clone() }).collect::<Vec<_>>()
    };
    assert_eq!(stripped(&seen), stripped(&messages::events(&service, &made.name).await), "as the audit trail has them");
    assert!(seen.iter().all(|event| !event.resume_token.is_empty()));
    assert_eq!(types(&mut some, 2).await, ["invitation.accepted", "invitation.revoked"]);
    service.stop().await;
}

async fn dropped_watch_resumes_behind_its_last_event(database: TestDatabase) {
    let service = Service::start(&database).await;
    let mut stream = watch(&service, &[], "").await.unwrap();
    let writer = tokio::spawn({
        let (mut connections, mut redemptions) = (service.connections(), service.redemptions());
        async move {
            for n in 0..120 {
                let made =
                    connections.create_connection_invitation(messages::creation(messages::invitation())).await.unwrap();
                let token = made.into_inner().invitation_token;
                redemptions.accept_invitation(messages::accept(&token, &format!("subject {n}"))).await.unwrap();
                redemptions.record_engagement(messages::view(&token)).await.unwrap();
            }
        }
    });
    let (mut token, mut seen) = (String::new(), BTreeMap::<String, Vec<i64>>::new());
    for number in 1..=360 {
        let event = next(&mut stream).await.unwrap();
        seen.entry(event.invitation).or_default().push(event.sequence);
        token = event.resume_token;
        if number % 50 == 0 {
            drop(stream);
            stream = watch(&service, &[], &token).await.unwrap();
        }
    }
    writer.await.unwrap();
    assert_eq!(seen.len(), 120);
    assert!(seen.values().all(|sequences| *sequences == [1, 2, 3]), "{seen:?}");

    // Under another filter too, and from an event of the audit trail.
    let made = messages::create(&service, messages::invitation()).await;
    accepted(&service, &made, "ann").await;
    let mut filtered = watch(&service, &["invitation.accepted"], &token).await.unwrap();
    let event = next(&mut filtered).await.unwrap();
    assert_eq!(event.invitation, format!("invitations/{}", made.uid));
    let listed = messages::events(&service, &made.name).await;
    let mut behind = watch(&service, &[], &listed[0].resume_token).await.unwrap();
    assert_eq!(next(&mut behind).await.unwrap().sequence, 2);
    service.stop().await;
}

async fn only_a_token_of_the_account_is_a_place_to_go_on(database: TestDatabase) {
    let (service, key) = keys::start(&database, &[("ours", "*"), ("theirs", "*")]).await;
    let mut events = service.events();
    let mut stream = events.watch_events(keys::with(&key[0], Watch::default())).await.unwrap().into_inner();
    let create = keys::with(&key[0], messages::creation(messages::invitation()));
    service.connections().create_connection_invitation(create).await.unwrap();
    let token = next(&mut stream).await.unwrap().resume_token;
    let broken = keys::altered(&token, 10);
    for (key, token) in [(&key[1], token.as_str()), (&key[0], "x"), (&key[0], &broken), (&key[0], &token[1..])] {
        let types = vec!["invitation.unheard_of".to_owned()];
        let start = Some(Start::ResumeToken(token.to_owned()));
        let request = Watch { start, types, ..Default::default() };
        let status =
            refused(events.watch_events(keys::with(key, request)).await, Code::InvalidArgument, "INVALID_FIELD");
        assert_eq!(violated(&status), ["types[0]", "resume_token"]);
    }
    service.stop().await;
}

async fn account_sees_its_own_and_a_bound_credential_its_reach(database: TestDatabase) {
    let keys_ = [("ours", "*", None), ("ours", "*", Some(OTHER_HOST)), ("theirs", "*", None)];
    let (service, key) = keys::start_bound(&database, &keys_).await;
    let mut streams = Vec::new();
    for key in &key {
        streams.push(service.events().watch_events(keys::with(key, Watch::default())).await.unwrap().into_inner());
    }
    let invite = |key: &str, host: &str, email: &str| {
        let mut request = keys::with(key, guests::creation(guests::guest(email)));
        guests::add(&mut request, host, host);
        let mut guests = service.guests();
        async move { guests.create_guest_invitation(request).await.unwrap().into_inner() }
    };
    let uid = |event: pb::Event| event.invitation.trim_start_matches("invitations/").to_owned();
    let grant = pb::OrganizationGrant {
        requester_organization_id: OTHER_HOST.to_owned(),
        target_organization_id: HOST.to_owned(),
        permissions: vec!["guest_invitations.read".to_owned()],
        ..Default::default()
    };
    let theirs = keys::with(&key[2], messages::creation(messages::invitation()));
    let theirs = service.connections().create_connection_invitation(theirs).await.unwrap().into_inner();
    let ours = keys::with(&key[0], messages::creation(messages::invitation()));
    let ours = service.connections().create_connection_invitation(ours).await.unwrap().into_inner();
    // At one moment those of different invitations come in any order.
    service.clock.advance(Duration::from_secs(1));
    let hidden = invite(&key[0], HOST, "a@example.org").await;
    service.clock.advance(Duration::from_secs(1));
    let own = invite(&key[0], OTHER_HOST, "a@example.org").await;
    for expected in [&ours.uid, &hidden.uid, &own.uid] {
        assert_eq!(uid(next(&mut streams[0]).await.unwrap()), *expected);
    }
    assert_eq!(uid(next(&mut streams[1]).await.unwrap()), own.uid);
    assert_eq!(uid(next(&mut streams[2]).await.unwrap()), theirs.uid);

    // A grant opens, and its end closes, what comes a moment later.
    let request = pb::CreateOrganizationGrantRequest { organization_grant: Some(grant), ..Default::default() };
    let connected = service.access().create_organization_grant(keys::with(&key[0], request)).await.unwrap();
    service.clock.advance(Duration::from_secs(15));
    let reached = invite(&key[0], HOST, "b@example.org").await;
    assert_eq!(uid(next(&mut streams[1]).await.unwrap()), reached.uid);
    let request = pb::DeleteOrganizationGrantRequest { name: connected.into_inner().name, ..Default::default() };
    service.access().delete_organization_grant(keys::with(&key[0], request)).await.unwrap();
    service.clock.advance(Duration::from_secs(15));
    invite(&key[0], HOST, "c@example.org").await;
    let own = invite(&key[0], OTHER_HOST, "c@example.org").await;
    let event = next(&mut streams[1]).await.unwrap();
    let token = event.resume_token.clone();
    assert_eq!(uid(event), own.uid);
    // Events that are read from the database are filtered as well.
    drop(streams);
    let own = invite(&key[0], OTHER_HOST, "d@example.org").await;
    let request = keys::with(&key[1], messages::watch(&token));
    let mut again = service.events().watch_events(request).await.unwrap().into_inner();
    assert_eq!(uid(next(&mut again).await.unwrap()), own.uid);
    service.stop().await;
}

async fn watch_lasts_until_its_client_or_the_service_ends_it(database: TestDatabase) {
    let short = [("INVITATION__GRPC__REQUEST_TIMEOUT", "1s"), ("INVITATION__STORE__TIMEOUT", "900ms")];
    let service = Service::start_with(configuration(&database, &short), Clock::manual(NEW_YEAR)).await;
    let mut lasting = watch(&service, &[], "").await.unwrap();
    let mut request = Request::new(Watch::default());
    request.set_timeout(Duration::from_millis(1_300));
    let mut limited = service.events().watch_events(request).await.unwrap().into_inner();
    let ended = next(&mut limited).await.unwrap_err();
    assert_eq!(reason(&ended), (Code::DeadlineExceeded, "DEADLINE_EXCEEDED".to_owned()));
    messages::create(&service, messages::invitation()).await;
    assert_eq!(types(&mut lasting, 1).await, ["invitation.created"], "the limit of single answers is not for it");

    service.shutdown.drain.cancel();
    let ended = next(&mut lasting).await.unwrap_err();
    assert_eq!(reason(&ended), (Code::Unavailable, "UNAVAILABLE".to_owned()));
    timeout(Duration::from_secs(10), service.task).await.expect("nothing holds up the end").unwrap().unwrap();
}

async fn expiry_is_watched_like_anything_else(database: TestDatabase) {
    let often = [("INVITATION__EVENTS__EXPIRY_INTERVAL", "100ms")];
    let service = Service::start_with(configuration(&database, &often), Clock::manual(NEW_YEAR)).await;
    let mut stream = watch(&service, &[], "").await.unwrap();
    let wanted = pb::ConnectionInvitation {
        expiration: messages::seconds(60).map(pb::connection_invitation::Expiration::Ttl),
        ..messages::invitation()
    };
    let made = messages::create(&service, wanted).await;
    service.clock.advance(Duration::from_secs(60));
    assert_eq!(types(&mut stream, 2).await, ["invitation.created", "invitation.expired"]);
    assert_eq!(messages::get(&service, &made.name).await.etag, made.etag);
    service.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2, crate = "crate::support::limit")]
async fn events_of_one_replica_are_watched_on_another() {
    let Some(database) = TestDatabase::postgres().await else { return };
    let one = Service::start(&database).await;
    let other = Service::start(&database).await;
    let mut stream = watch(&other, &[], "").await.unwrap();
    for _ in 0..5 {
        let made = messages::create(&one, messages::invitation()).await;
        let event = next(&mut stream).await.unwrap();
        assert_eq!(event.invitation, format!("invitations/{}", made.uid));
    }
    // The events of the last call are in the order, whichever replica numbers them.
    messages::create(&one, messages::invitation()).await;
    one.stop().await;
    next(&mut stream).await.unwrap();
    let made = messages::create(&other, messages::invitation()).await;
    assert_eq!(next(&mut stream).await.unwrap().invitation, format!("invitations/{}", made.uid));
    other.stop().await;
}
