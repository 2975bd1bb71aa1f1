//! GetScopeSettings, UpdateScopeSettings, OccupySeats, VacateSeats and ListSeats, and SCOPE_FULL of the RPCs that need a seat.

use std::time::Duration;

use invitation_service::clock::Clock;
use invitation_service::pb;
use prost_types::FieldMask;
use tonic::{Code, Status};
use tonic_types::StatusExt as _;

use crate::rpc::redemption::keys;
use crate::support::build::acceptances::{extending, release, releasing};
use crate::support::build::generals::{into, subject};
use crate::support::build::messages::Expiring as _;
use crate::support::build::{generals, messages};
use crate::support::database::{NEW_YEAR, TestDatabase};
use crate::support::expect::{reason, refused, violated};
use crate::support::on_both;
use crate::support::service::{Service, configuration};

on_both!(
    migrated:
    settings_change_by_mask_and_etag,
    full_scope_refuses_an_accept_and_says_so_before,
    scope_that_reserves_refuses_what_it_cannot_promise,
    batch_of_accepts_takes_seats_in_its_order,
    released_acceptance_gives_its_seat_back,
    acceptance_that_expired_needs_a_seat_to_count_again,
    people_are_recorded_listed_and_taken_out,
    dry_run_shows_the_counts_and_keeps_nothing,
    account_has_seats_for_its_users,
    all_that_is_wrong_with_seats_is_told_at_once,
    bound_key_reaches_no_seats,
);

fn red() -> Option<pb::ScopeRef> {
    Some(pb::ScopeRef { r#type: "team".to_owned(), id: "red".to_owned() })
}

fn seats(seats: i32) -> pb::UpdateScopeSettingsRequest {
    set(pb::ScopeSettings { seats: Some(seats), ..Default::default() }, &[])
}

fn set(settings: pb::ScopeSettings, paths: &[&str]) -> pb::UpdateScopeSettingsRequest {
    let scope_settings = Some(pb::ScopeSettings { scope: red(), ..settings });
    let paths: Vec<_> = paths.iter().map(|path| (*path).to_owned()).collect();
    let update_mask = (!paths.is_empty()).then_some(FieldMask { paths });
    pb::UpdateScopeSettingsRequest { scope_settings, update_mask, ..Default::default() }
}

async fn update(service: &Service, request: pb::UpdateScopeSettingsRequest) -> Result<pb::ScopeSettings, Status> {
    service.scopes().update_scope_settings(request).await.map(tonic::Response::into_inner)
}

async fn get(service: &Service) -> pb::ScopeSettings {
    let request = pb::GetScopeSettingsRequest { scope: red() };
    service.scopes().get_scope_settings(request).await.unwrap().into_inner()
}

fn occupying(subjects: &[&str]) -> pb::OccupySeatsRequest {
    let subjects = subjects.iter().map(|subject| (*subject).to_owned()).collect();
    pb::OccupySeatsRequest { scope: red(), subjects, ..Default::default() }
}

async fn occupy(service: &Service, subjects: &[&str]) -> Result<pb::OccupySeatsResponse, Status> {
    service.scopes().occupy_seats(occupying(subjects)).await.map(tonic::Response::into_inner)
}

async fn vacate(service: &Service, subjects: &[&str]) -> pb::VacateSeatsResponse {
    let subjects = subjects.iter().map(|subject| (*subject).to_owned()).collect();
    let request = pb::VacateSeatsRequest { scope: red(), subjects, ..Default::default() };
    service.scopes().vacate_seats(request).await.unwrap().into_inner()
}

/// A link into the team, for any number of people.
async fn link(service: &Service) -> pb::Invitation {
    let many = pb::Invitation { invitation_type: pb::InvitationType::MultiUse.into(), ..into("red", &[]) };
    generals::create(service, many).await
}

async fn accept(service: &Service, token: &str, subject: &str) -> Result<pb::Acceptance, Status> {
    let accepted = service.redemptions().accept_invitation(messages::accept(token, subject)).await?;
    Ok(accepted.into_inner().acceptance.unwrap())
}

async fn is_full(service: &Service, token: &str) -> bool {
    service.redemptions().preview_invitation(messages::preview(token)).await.unwrap().into_inner().scope_full
}

/// Asserts that a call was refused for want of seats, and returns how many there are and how many are left.
#[track_caller]
fn full<T: std::fmt::Debug>(result: Result<T, Status>) -> (String, String) {
    let details = refused(result, Code::FailedPrecondition, "SCOPE_FULL").get_error_details();
    let metadata = &details.error_info().unwrap().metadata;
    assert_eq!((metadata["scope_type"].as_str(), metadata["scope_id"].as_str()), ("team", "red"));
    (metadata["seats"].clone(), metadata["available"].clone())
}

async fn settings_change_by_mask_and_etag(database: TestDatabase) {
    let service = Service::start(&database).await;
    assert_eq!(get(&service).await, pb::ScopeSettings::default());
    let stale = pb::ScopeSettings { seats: Some(1), etag: "\"x\"".to_owned(), ..Default::default() };
    refused(update(&service, set(stale, &[])).await, Code::Aborted, "ETAG_MISMATCH");
    let made = update(&service, seats(37)).await.unwrap();
    assert_eq!((made.seats, made.reserve_open, made.available, made.over_by), (Some(37), Some(false), Some(37), 0));
    assert_eq!(get(&service).await, made);
    let reserving = pb::ScopeSettings { reserve_open: Some(true), etag: made.etag.clone(), ..Default::default() };
    let changed = update(&service, set(reserving, &[])).await.unwrap();
    assert_eq!((changed.seats, changed.reserve_open), (Some(37), Some(true)), "what is not named stays");
    assert_ne!(changed.etag, made.etag);
    let again = pb::ScopeSettings { seats: Some(2), etag: made.etag, ..Default::default() };
    refused(update(&service, set(again, &[])).await, Code::Aborted, "ETAG_MISMATCH");
    let same = update(&service, seats(37)).await.unwrap();
    assert_eq!(same, changed, "the same settings are no change");
    // An accept does not change the etag, or nobody could ever update a busy scope.
    let link = link(&service).await;
    accept(&service, &link.invitation_token, "ann").await.unwrap();
    let busy = get(&service).await;
    assert_eq!((busy.etag.as_str(), busy.occupied, busy.available), (changed.etag.as_str(), 1, Some(36)));
    let unlimited = update(&service, set(pb::ScopeSettings::default(), &["seats"])).await.unwrap();
    assert_eq!((unlimited.seats, unlimited.available, unlimited.reserve_open), (None, None, Some(true)));
    let bare = update(&service, set(pb::ScopeSettings::default(), &["*"])).await.unwrap();
    assert_eq!((bare.seats, bare.reserve_open, bare.occupied), (None, Some(false), 1));
    service.stop().await;
}

async fn full_scope_refuses_an_accept_and_says_so_before(database: TestDatabase) {
    let service = Service::start(&database).await;
    let token = link(&service).await.invitation_token;
    assert!(!is_full(&service, &token).await, "nothing is counted");
    update(&service, seats(1)).await.unwrap();
    assert!(!is_full(&service, &token).await);
    accept(&service, &token, "ann").await.unwrap();
    assert!(is_full(&service, &token).await);
    assert_eq!(full(accept(&service, &token, "bob").await), ("1".to_owned(), "0".to_owned()));
    accept(&service, &token, "ann").await.unwrap();
    let other = link(&service).await.invitation_token;
    accept(&service, &other, "ann").await.unwrap();
    assert_eq!(get(&service).await.occupied, 1, "one person, one seat");
    vacate(&service, &["ann"]).await;
    assert!(!is_full(&service, &token).await);
    accept(&service, &token, "bob").await.unwrap();
    service.stop().await;
}

async fn scope_that_reserves_refuses_what_it_cannot_promise(database: TestDatabase) {
    let service = Service::start(&database).await;
    let reserving = pb::ScopeSettings { seats: Some(2), reserve_open: Some(true), ..Default::default() };
    update(&service, set(reserving, &[])).await.unwrap();
    let for_two =
        pb::Invitation { invitation_type: pb::InvitationType::MultiUse.into(), max_uses: Some(2), ..into("red", &[]) };
    let made = generals::create(&service, for_two.clone()).await;
    let reserved = get(&service).await;
    assert_eq!((reserved.reserved, reserved.available), (2, Some(0)));
    let create = messages::general(into("red", &[]));
    assert_eq!(full(service.invitations().create_invitation(create.clone()).await), ("2".to_owned(), "0".to_owned()));
    let dry = pb::CreateInvitationRequest { validate_only: true, ..create };
    full(service.invitations().create_invitation(dry).await);
    let requests = vec![messages::general(into("red", &[])), messages::general(into("blue", &[]))];
    let batch = pb::BatchCreateInvitationsRequest { requests, ..Default::default() };
    let results = service.invitations().batch_create_invitations(batch).await.unwrap().into_inner().results;
    let refusals = results.iter().map(|result| match result.result.as_ref().unwrap() {
        pb::batch_create_invitations_result::Result::Error(error) => error.reason.as_str(),
        pb::batch_create_invitations_result::Result::Invitation(_) => "",
    });
    assert_eq!(refusals.collect::<Vec<_>>(), ["SCOPE_FULL", ""], "each entry for itself");
    let more = pb::Invitation { name: made.name.clone(), max_uses: Some(3), ..Default::default() };
    let more = pb::UpdateInvitationRequest { invitation: Some(more), ..Default::default() };
    full(service.invitations().update_invitation(more).await);
    assert!(!is_full(&service, &made.invitation_token).await, "its seats are reserved");
    let token = link(&service).await.invitation_token;
    assert!(is_full(&service, &token).await, "and kept from others");
    full(accept(&service, &token, "eve").await);
    accept(&service, &made.invitation_token, "ann").await.unwrap();
    generals::revoke(&service, &made.name).await;
    let revoked = get(&service).await;
    assert_eq!((revoked.occupied, revoked.reserved, revoked.available), (1, 0, Some(1)));
    generals::create(&service, into("red", &[])).await;
    full(service.invitations().create_invitation(messages::general(for_two)).await);
    service.stop().await;
}

async fn batch_of_accepts_takes_seats_in_its_order(database: TestDatabase) {
    let service = Service::start(&database).await;
    update(&service, seats(1)).await.unwrap();
    occupy(&service, &["bob"]).await.unwrap();
    let [first, second] = [link(&service).await.name, link(&service).await.name];
    let names = [&first, &second];
    let results = generals::accept(&service, &names, subject("ann")).await;
    assert_eq!(results.iter().map(generals::refusal).collect::<Vec<_>>(), ["SCOPE_FULL"; 2]);
    vacate(&service, &["bob"]).await;
    let results = generals::accept(&service, &names, subject("ann")).await;
    assert!(
        results
            .iter()
            .all(|result| matches!(result.result, Some(pb::accept_invitations_result::Result::Acceptance(_))))
    );
    assert_eq!(get(&service).await.occupied, 1);
    service.stop().await;
}

async fn released_acceptance_gives_its_seat_back(database: TestDatabase) {
    let service = Service::start(&database).await;
    update(&service, seats(1)).await.unwrap();
    let token = link(&service).await.invitation_token;
    for mode in [pb::ReleaseMode::Undo, pb::ReleaseMode::End] {
        let ann = accept(&service, &token, "ann").await.unwrap();
        assert!(is_full(&service, &token).await);
        let dry = pb::ReleaseAcceptanceRequest { validate_only: true, ..releasing(&ann.name, mode) };
        service.invitations().release_acceptance(dry).await.unwrap();
        assert_eq!(get(&service).await.occupied, 1, "{mode:?}: a dry run gives nothing back");
        release(&service, &ann.name, mode).await.unwrap();
        let free = get(&service).await;
        assert_eq!((free.occupied, free.available), (0, Some(1)), "{mode:?}");
        assert!(!is_full(&service, &token).await);
    }
    refused(accept(&service, &token, "ann").await, Code::FailedPrecondition, "ACCEPTANCE_ENDED");
    // Another acceptance, or a record, keeps the person in.
    let other = link(&service).await.invitation_token;
    let [first, second] =
        [accept(&service, &token, "bob").await.unwrap(), accept(&service, &other, "bob").await.unwrap()];
    release(&service, &first.name, pb::ReleaseMode::End).await.unwrap();
    assert_eq!(get(&service).await.occupied, 1);
    occupy(&service, &["bob"]).await.unwrap();
    release(&service, &second.name, pb::ReleaseMode::Undo).await.unwrap();
    let request = pb::ListSeatsRequest { scope: red(), ..Default::default() };
    let listed = service.scopes().list_seats(request).await.unwrap().into_inner().seats;
    let [bob] = listed.as_slice() else { panic!("{listed:?}") };
    assert_eq!((bob.subject.as_str(), bob.recorded, bob.acceptances.len()), ("bob", true, 0));
    vacate(&service, &["bob"]).await;
    accept(&service, &token, "cid").await.unwrap();
    service.stop().await;
}

async fn acceptance_that_expired_needs_a_seat_to_count_again(database: TestDatabase) {
    let service = Service::start_with(
        configuration(&database, &[("INVITATION__EVENTS__EXPIRY_INTERVAL", "100ms")]),
        Clock::manual(NEW_YEAR),
    )
    .await;
    update(&service, seats(1)).await.unwrap();
    let for_an_hour = pb::Invitation {
        grant_ttl: messages::seconds(3_600),
        invitation_type: pb::InvitationType::MultiUse.into(),
        ..into("red", &[])
    };
    let made = generals::create(&service, for_an_hour).await;
    let ann = accept(&service, &made.invitation_token, "ann").await.unwrap();
    service.clock.advance(Duration::from_secs(3_600));
    while get(&service).await.occupied > 0 {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    let bob = accept(&service, &made.invitation_token, "bob").await.unwrap();
    let extend = async |validate_only| {
        let request = pb::UpdateAcceptanceRequest { validate_only, ..extending(&ann.name, messages::at(9_000)) };
        service.invitations().update_acceptance(request).await.map(tonic::Response::into_inner)
    };
    for dry in [true, false] {
        assert_eq!(full(extend(dry).await), ("1".to_owned(), "0".to_owned()));
    }
    release(&service, &bob.name, pb::ReleaseMode::Undo).await.unwrap();
    extend(true).await.unwrap();
    assert_eq!(get(&service).await.occupied, 0);
    assert_eq!(extend(false).await.unwrap().state(), pb::AcceptanceState::Active);
    assert_eq!(get(&service).await.occupied, 1);
    service.stop().await;
}

async fn people_are_recorded_listed_and_taken_out(database: TestDatabase) {
    let service = Service::start(&database).await;
    assert_eq!(vacate(&service, &["ann"]).await.vacated_count, 0, "nothing is counted");
    let first = occupy(&service, &["ann", "bob", "ann"]).await.unwrap();
    assert_eq!((first.occupied_count, first.scope_settings.clone().unwrap().occupied), (2, 2));
    assert_eq!(first.scope_settings.unwrap(), get(&service).await);
    update(&service, seats(3)).await.unwrap();
    let token = link(&service).await.invitation_token;
    let acceptance = accept(&service, &token, "bob").await.unwrap();
    service.clock.advance(Duration::from_secs(1));
    assert_eq!(occupy(&service, &["bob", "cid"]).await.unwrap().occupied_count, 1);
    assert_eq!(full(occupy(&service, &["ann", "dan"]).await), ("3".to_owned(), "0".to_owned()));
    let list = pb::ListSeatsRequest { scope: red(), page_size: 2, ..Default::default() };
    let page = service.scopes().list_seats(list.clone()).await.unwrap().into_inner();
    assert_eq!(page.seats.len(), 2);
    let next = pb::ListSeatsRequest { page_token: page.next_page_token.clone(), ..list };
    let rest = service.scopes().list_seats(next).await.unwrap().into_inner();
    let mut all = [page.seats, rest.seats].concat();
    assert_eq!(all[0].subject, "cid", "the newest first");
    all.sort_by(|one, other| one.subject.cmp(&other.subject));
    let shown: Vec<_> =
        all.iter().map(|seat| (seat.subject.as_str(), seat.recorded, seat.acceptances.clone())).collect();
    assert_eq!(shown, [("ann", true, vec![]), ("bob", true, vec![acceptance.name]), ("cid", true, vec![])]);
    assert_eq!(vacate(&service, &["ann", "bob", "nobody"]).await.vacated_count, 2);
    assert_eq!(get(&service).await.available, Some(2));
    let lowered = update(&service, seats(0)).await.unwrap();
    assert_eq!((lowered.occupied, lowered.available, lowered.over_by), (1, Some(0), 1), "nobody is thrown out");
    service.stop().await;
}

async fn dry_run_shows_the_counts_and_keeps_nothing(database: TestDatabase) {
    let service = Service::start(&database).await;
    let token = link(&service).await.invitation_token;
    accept(&service, &token, "ann").await.unwrap();
    let dry = pb::UpdateScopeSettingsRequest { validate_only: true, ..seats(5) };
    let shown = update(&service, dry).await.unwrap();
    assert_eq!((shown.seats, shown.occupied, shown.etag.as_str()), (Some(5), 1, ""));
    let dry = pb::OccupySeatsRequest { validate_only: true, ..occupying(&["bob"]) };
    let shown = service.scopes().occupy_seats(dry).await.unwrap().into_inner();
    assert_eq!((shown.occupied_count, shown.scope_settings.unwrap().occupied), (1, 2));
    assert_eq!(get(&service).await, pb::ScopeSettings::default());
    update(&service, seats(1)).await.unwrap();
    let dry = pb::AcceptInvitationRequest { validate_only: true, ..messages::accept(&token, "bob") };
    full(service.redemptions().accept_invitation(dry).await);
    service.stop().await;
}

async fn account_has_seats_for_its_users(database: TestDatabase) {
    let permissions = "invitations.write invitations.read invitations.redeem user_invitations.write tokens.read";
    let (service, key) = keys::start(&database, &[("acme", permissions)]).await;
    let scope = Some(pb::ScopeRef { r#type: "account".to_owned(), id: "acme".to_owned() });
    let settings = pb::ScopeSettings { scope, seats: Some(0), ..Default::default() };
    let request = pb::UpdateScopeSettingsRequest { scope_settings: Some(settings), ..Default::default() };
    service.scopes().update_scope_settings(keys::with(&key[0], request)).await.unwrap();
    let user_invitation = Some(pb::UserInvitation {
        invited_email: "ann@example.org".to_owned(),
        inviter: Some(pb::Inviter { display_name: "Bob".to_owned(), ..Default::default() }),
        ..Default::default()
    });
    let create = pb::CreateUserInvitationRequest { user_invitation, ..Default::default() };
    let made = service.users().create_user_invitation(keys::with(&key[0], create)).await.unwrap().into_inner().read();
    let accept = messages::accept_as(&made.invitation_token, "ann", "ann@example.org", true);
    let refusal = service.redemptions().accept_invitation(keys::with(&key[0], accept)).await;
    refused(refusal, Code::FailedPrecondition, "SCOPE_FULL");
    service.stop().await;
}

async fn all_that_is_wrong_with_seats_is_told_at_once(database: TestDatabase) {
    let service = Service::start(&database).await;
    let none = refused(update(&service, Default::default()).await, Code::InvalidArgument, "INVALID_FIELD");
    assert_eq!(violated(&none), ["scope_settings.scope.type", "scope_settings.scope.id"]);
    for number in [-1, 1_000_001] {
        let wrong = refused(update(&service, seats(number)).await, Code::InvalidArgument, "INVALID_FIELD");
        assert_eq!(violated(&wrong), ["scope_settings.seats"]);
    }
    let unknown = set(pb::ScopeSettings::default(), &["occupied"]);
    let unknown = refused(update(&service, unknown).await, Code::InvalidArgument, "INVALID_FIELD");
    assert_eq!(violated(&unknown), ["update_mask.paths[0]"]);
    let reserved = refused(occupy(&service, &["ann", "erased:1"]).await, Code::InvalidArgument, "INVALID_FIELD");
    assert_eq!(violated(&reserved), ["subjects[1]"]);
    let none = service.scopes().vacate_seats(pb::VacateSeatsRequest::default()).await;
    assert_eq!(violated(&none.unwrap_err()), ["scope.type", "scope.id", "subjects"]);
    let many: Vec<_> = (0..1_001).map(|n| n.to_string()).collect();
    let many: Vec<_> = many.iter().map(String::as_str).collect();
    let many = refused(occupy(&service, &many).await, Code::InvalidArgument, "INVALID_FIELD");
    assert_eq!(violated(&many), ["subjects"]);
    service.stop().await;
}

async fn bound_key_reaches_no_seats(database: TestDatabase) {
    let keys = [("acme", "*", Some(crate::support::build::guests::HOST))];
    let (service, key) = keys::start_configured(&database, &keys, &[]).await;
    let refusals = [
        service
            .scopes()
            .get_scope_settings(keys::with(&key[0], pb::GetScopeSettingsRequest { scope: red() }))
            .await
            .err(),
        service.scopes().update_scope_settings(keys::with(&key[0], seats(1))).await.err(),
        service.scopes().occupy_seats(keys::with(&key[0], occupying(&["ann"]))).await.err(),
    ];
    for status in refusals {
        assert_eq!(reason(&status.unwrap()), (Code::PermissionDenied, "ORGANIZATION_ACCESS_DENIED".to_owned()));
    }
    service.stop().await;
}
