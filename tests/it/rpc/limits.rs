//! `[limits]`: rates, quotas, suppressed mail, and what GetQuota shows of them.

use std::collections::HashMap;
use std::time::Duration;

use invitation_service::clock::Clock;
use invitation_service::pb;
use invitation_service::pb::batch_create_invitations_result::Result as Outcome;
use tonic::{Code, Status};
use tonic_types::StatusExt as _;

use crate::rpc::redemption::keys;
use crate::support::build::generals::{email, into_team};
use crate::support::build::messages::{self, Expiring as _};
use crate::support::database::{NEW_YEAR, TestDatabase};
use crate::support::expect::refused;
use crate::support::on_both;
use crate::support::service::{Service, configuration};

on_both!(
    migrated:
    rate_of_a_key_counts_who_was_invited,
    failed_look_ups_end_the_look_ups_of_their_key,
    quotas_refuse_with_what_is_used_and_when_to_try_again,
    address_gets_so_many_messages_from_all_accounts,
    resend_on_another_day_brings_a_suppressed_message,
    link_is_not_replaced_where_no_mail_may_bring_the_new_one,
    rate_of_the_account_holds_without_credentials,
    limits_that_are_off_are_not_shown,
);

const PERMISSIONS: &str =
    "invitations.write invitations.read invitations.redeem tokens.read deliveries.read quota.read";

type Limits<'a> = &'a [(&'static str, &'a str)];

/// Starts a service with two keys of one account and one of another.
async fn start(database: &TestDatabase, limits: Limits<'_>) -> (Service, Vec<String>) {
    let keys = [("acme", PERMISSIONS, None), ("acme", PERMISSIONS, None), ("other", PERMISSIONS, None)];
    keys::start_configured(database, &keys, limits).await
}

fn to(addresses: &[&str]) -> pb::CreateInvitationRequest {
    let targets: Vec<_> = addresses.iter().map(|address| email(address)).collect();
    messages::general(into_team(&targets))
}

async fn create(service: &Service, key: &str, request: pb::CreateInvitationRequest) -> Result<pb::Invitation, Status> {
    service.invitations().create_invitation(keys::with(key, request)).await.map(|made| made.into_inner().read())
}

async fn batch(service: &Service, key: &str, entries: usize, atomic: bool) -> Result<Vec<bool>, Status> {
    let requests = (0..entries).map(|n| to(&[&format!("n{n}@example.org")])).collect();
    let request = pb::BatchCreateInvitationsRequest { requests, atomic, ..Default::default() };
    let made = service.invitations().batch_create_invitations(keys::with(key, request)).await?.into_inner();
    Ok(made.results.into_iter().map(|made| matches!(made.result, Some(Outcome::Invitation(_)))).collect())
}

/// Returns the limits by their names.
async fn quota(service: &Service, key: &str, inviter: &str) -> HashMap<String, pb::QuotaLimit> {
    let request = pb::GetQuotaRequest { inviter_user_id: inviter.to_owned() };
    let quota = service.access().get_quota(keys::with(key, request)).await.unwrap().into_inner();
    quota.limits.into_iter().map(|limit| (limit.limit.clone(), limit)).collect()
}

/// Returns what is used and what is left.
fn left(limits: &HashMap<String, pb::QuotaLimit>, name: &str) -> (i64, i64) {
    (limits[name].used.unwrap(), limits[name].remaining.unwrap())
}

/// Asserts that a limit refuses a call, and returns the seconds to wait.
#[track_caller]
fn limited<T: std::fmt::Debug>(result: Result<T, Status>, reason: &str, limit: &str) -> Option<i64> {
    let details = refused(result, Code::ResourceExhausted, reason).get_error_details();
    assert_eq!(details.error_info().unwrap().metadata["limit"], limit);
    assert_eq!(details.quota_failure().unwrap().violations[0].subject, limit);
    details.retry_info().and_then(|info| info.retry_delay).map(|delay| i64::try_from(delay.as_secs()).unwrap())
}

async fn rate_of_a_key_counts_who_was_invited(database: TestDatabase) {
    let (service, key) = start(&database, &[("INVITATION__LIMITS__INVITATIONS_PER_KEY", "10 per 100s")]).await;
    assert_eq!(limited(batch(&service, &key[0], 11, true).await, "QUOTA_EXCEEDED", "invitations_per_key"), None);
    let first = pb::CreateInvitationRequest { request_id: "one".to_owned(), ..to(&["a@b.org", "c@d.org"]) };
    create(&service, &key[0], first.clone()).await.unwrap();
    batch(&service, &key[0], 7, false).await.unwrap();
    assert_eq!(left(&quota(&service, &key[0], "").await, "invitations_per_key"), (9, 1));
    // Neither a retry, nor a dry run, nor what is returned or refused invites anybody.
    create(&service, &key[0], pb::CreateInvitationRequest { request_id: "two".to_owned(), ..to(&["e@f.org"]) })
        .await
        .unwrap();
    assert_eq!(
        limited(create(&service, &key[0], first.clone()).await, "RATE_LIMITED", "invitations_per_key"),
        Some(20)
    );
    service.clock.advance(Duration::from_secs(20));
    create(&service, &key[0], first).await.unwrap();
    let dry = pb::CreateInvitationRequest { validate_only: true, ..to(&["a@b.org"]) };
    create(&service, &key[0], dry).await.unwrap();
    for (on_conflict, is_made) in [(pb::OnConflict::ReturnExisting, true), (pb::OnConflict::Reject, false)] {
        let existing = pb::CreateInvitationRequest { on_conflict: on_conflict.into(), ..to(&["e@f.org"]) };
        assert_eq!(create(&service, &key[0], existing).await.is_ok(), is_made);
    }
    assert_eq!(left(&quota(&service, &key[0], "").await, "invitations_per_key"), (8, 2));
    let wait = limited(batch(&service, &key[0], 4, true).await, "RATE_LIMITED", "invitations_per_key").unwrap();
    service.clock.advance(Duration::from_secs(wait.unsigned_abs()));
    assert_eq!(batch(&service, &key[0], 4, true).await.unwrap().len(), 4);
    let shown = quota(&service, &key[0], "").await.remove("invitations_per_key").unwrap();
    assert!(shown.per_server && shown.reset_time.is_some() && shown.period == messages::seconds(100));
    batch(&service, &key[1], 10, true).await.unwrap();
    service.stop().await;
}

async fn failed_look_ups_end_the_look_ups_of_their_key(database: TestDatabase) {
    let (service, key) = start(&database, &[("INVITATION__LIMITS__FAILED_LOOKUPS_PER_KEY", "3 per 60s")]).await;
    let token = create(&service, &key[0], to(&["a@b.org"])).await.unwrap().invitation_token;
    let foreign = create(&service, &key[2], to(&["a@b.org"])).await.unwrap().invitation_token;
    let preview = async |key: &str, token: &str| {
        let request = pb::PreviewInvitationRequest { token: token.to_owned() };
        service.redemptions().preview_invitation(keys::with(key, request)).await.map(drop)
    };
    for _ in 0..5 {
        preview(&key[0], &token).await.unwrap();
    }
    refused(preview(&key[0], &foreign).await, Code::NotFound, "INVITATION_NOT_FOUND");
    refused(preview(&key[0], "inv_forged").await, Code::NotFound, "INVITATION_NOT_FOUND");
    let accept = keys::with(&key[0], messages::accept("inv_forged", "ann"));
    refused(service.redemptions().accept_invitation(accept).await, Code::NotFound, "INVITATION_NOT_FOUND");
    assert_eq!(limited(preview(&key[0], &token).await, "RATE_LIMITED", "failed_lookups_per_key"), Some(20));
    let accept = keys::with(&key[0], messages::accept(&token, "ann"));
    limited(service.redemptions().accept_invitation(accept).await, "RATE_LIMITED", "failed_lookups_per_key");
    assert_eq!(left(&quota(&service, &key[0], "").await, "failed_lookups_per_key"), (3, 0));
    preview(&key[1], &token).await.unwrap();
    service.clock.advance(Duration::from_secs(20));
    preview(&key[0], &token).await.unwrap();
    service.stop().await;
}

async fn quotas_refuse_with_what_is_used_and_when_to_try_again(database: TestDatabase) {
    let limits = [
        ("INVITATION__LIMITS__OPEN_INVITATIONS_PER_ACCOUNT", "8"),
        ("INVITATION__LIMITS__INVITATIONS_PER_INVITER_PER_DAY", "4"),
    ];
    let (service, key) = start(&database, &limits).await;
    let by = |user_id: &str, addresses: &[&str]| {
        let inviter = Some(pb::Inviter { user_id: user_id.to_owned(), ..Default::default() });
        let mut request = to(addresses);
        request.invitation = request.invitation.map(|invitation| pb::Invitation { inviter, ..invitation });
        request
    };
    service.clock.advance(Duration::from_secs(82_800));
    let made = create(&service, &key[0], by("ann", &["a@b.org", "c@d.org", "e@f.org"])).await.unwrap();
    let per_inviter = "invitations_per_inviter_per_day";
    let two = || by("ann", &["g@h.org", "i@j.org"]);
    assert_eq!(limited(create(&service, &key[1], two()).await, "QUOTA_EXCEEDED", per_inviter), Some(3_600));
    let five = by("bob", &["1@b.org", "2@b.org", "3@b.org", "4@b.org", "5@b.org"]);
    assert_eq!(limited(create(&service, &key[1], five).await, "QUOTA_EXCEEDED", per_inviter), None);
    // The whole batch counts, and what does not fit is told in its place.
    assert_eq!(batch(&service, &key[0], 5, false).await.unwrap(), [true, true, true, true, false]);
    let open = "open_invitations_per_account";
    assert_eq!(limited(create(&service, &key[1], to(&["x@y.org", "z@y.org"])).await, "QUOTA_EXCEEDED", open), None);
    create(&service, &key[2], to(&["x@y.org"])).await.unwrap();
    let shown = quota(&service, &key[1], "ann").await;
    assert_eq!((left(&shown, open), left(&shown, per_inviter)), ((7, 1), (3, 1)));
    assert_eq!((shown[open].period, shown[open].reset_time), (None, None));
    assert_eq!(
        (shown[per_inviter].period, shown[per_inviter].reset_time),
        (messages::seconds(86_400), messages::at(86_400))
    );
    assert_eq!(left(&quota(&service, &key[0], "").await, per_inviter), (4, 0), "by the credential");
    let revoke = pb::RevokeInvitationRequest { name: made.name, ..Default::default() };
    service.invitations().revoke_invitation(keys::with(&key[0], revoke)).await.unwrap();
    assert_eq!(left(&quota(&service, &key[0], "").await, open), (4, 4));
    service.clock.advance(Duration::from_secs(3_600));
    create(&service, &key[1], two()).await.unwrap();
    service.stop().await;
}

async fn address_gets_so_many_messages_from_all_accounts(database: TestDatabase) {
    let (service, key) = start(&database, &[("INVITATION__LIMITS__MAILS_PER_RECIPIENT_PER_DAY", "2")]).await;
    for key in [&key[0], &key[2]] {
        let made = create(&service, key, to(&["Ann@example.org"])).await.unwrap();
        assert_eq!(made.status(), pb::InvitationStatus::Queued);
    }
    let made = create(&service, &key[2], to(&["ann@EXAMPLE.org"])).await.unwrap();
    assert_eq!((made.state(), made.status()), (pb::InvitationState::Active, pb::InvitationStatus::Suppressed));
    let get = pb::GetInvitationRequest { name: made.name.clone() };
    let found = service.invitations().get_invitation(keys::with(&key[2], get)).await.unwrap().into_inner();
    assert_eq!(found.status(), pb::InvitationStatus::Suppressed);
    let states = vec![pb::DeliveryState::Suppressed.into()];
    let list = pb::ListDeliveriesRequest { parent: made.name, states, ..Default::default() };
    let listed = service.deliveries().list_deliveries(keys::with(&key[2], list)).await.unwrap().into_inner();
    assert_eq!(listed.deliveries.len(), 1);
    assert!(listed.deliveries[0].last_error.contains("as many messages today"), "{:?}", listed.deliveries[0]);
    // Another address, and an invitation without mail, are none of it.
    let other = create(&service, &key[0], to(&["bob@example.org"])).await.unwrap();
    assert_eq!(other.status(), pb::InvitationStatus::Queued);
    let silent = pb::CreateInvitationRequest { send_email: Some(false), ..to(&["ann@example.org"]) };
    assert_eq!(create(&service, &key[0], silent).await.unwrap().status(), pb::InvitationStatus::Shared);
    let shown = quota(&service, &key[0], "").await.remove("mails_per_recipient_per_day").unwrap();
    assert_eq!((shown.max, shown.used, shown.remaining), (2, None, None));
    service.stop().await;
}

async fn resend_on_another_day_brings_a_suppressed_message(database: TestDatabase) {
    let limits = [
        ("INVITATION__LIMITS__MAILS_PER_RECIPIENT_PER_DAY", "1"),
        ("INVITATION__LIMITS__RESENDS_PER_INVITATION_PER_DAY", "2"),
        ("INVITATION__LIMITS__RESEND_INTERVAL", "0s"),
    ];
    let (service, key) = start(&database, &limits).await;
    let made = create(&service, &key[0], to(&["ann@example.org"])).await.unwrap();
    let resend = async || {
        let request = pb::ResendInvitationRequest { name: made.name.clone(), ..Default::default() };
        service.invitations().resend_invitation(keys::with(&key[0], request)).await.map(tonic::Response::into_inner)
    };
    assert_eq!(resend().await.unwrap().status(), pb::InvitationStatus::Suppressed);
    // The message that waits still brings the link.
    let list = pb::ListDeliveriesRequest { parent: made.name.clone(), ..Default::default() };
    let listed = service.deliveries().list_deliveries(keys::with(&key[0], list)).await.unwrap().into_inner();
    let states: Vec<_> = listed.deliveries.iter().map(pb::Delivery::state).collect();
    assert_eq!(states.len(), 2);
    assert!(states.contains(&pb::DeliveryState::Queued) && states.contains(&pb::DeliveryState::Suppressed));
    resend().await.unwrap();
    assert_eq!(limited(resend().await, "RATE_LIMITED", "resends_per_invitation"), Some(86_400));
    service.clock.advance(Duration::from_secs(86_400));
    assert_eq!(resend().await.unwrap().status(), pb::InvitationStatus::Queued);
    service.stop().await;
}

async fn link_is_not_replaced_where_no_mail_may_bring_the_new_one(database: TestDatabase) {
    let limits =
        [("INVITATION__LIMITS__MAILS_PER_RECIPIENT_PER_DAY", "1"), ("INVITATION__LIMITS__RESEND_INTERVAL", "0s")];
    let (service, key) = start(&database, &limits).await;
    let made = create(&service, &key[0], to(&["ann@example.org"])).await.unwrap();
    let resend = async |send_email: Option<bool>| {
        let name = made.name.clone();
        let request = pb::ResendInvitationRequest { name, rotate_token: true, send_email, ..Default::default() };
        service.invitations().resend_invitation(keys::with(&key[0], request)).await.map(tonic::Response::into_inner)
    };
    let preview = async |token: &str| {
        let request = pb::PreviewInvitationRequest { token: token.to_owned() };
        service.redemptions().preview_invitation(keys::with(&key[0], request)).await.map(drop)
    };
    let limit = "mails_per_recipient_per_day";
    assert_eq!(limited(resend(None).await, "QUOTA_EXCEEDED", limit), Some(86_400));
    let replace =
        || pb::CreateInvitationRequest { on_conflict: pb::OnConflict::Replace.into(), ..to(&["ann@example.org"]) };
    assert_eq!(limited(create(&service, &key[0], replace()).await, "QUOTA_EXCEEDED", limit), Some(86_400));
    preview(&made.invitation_token).await.expect("the link is as good as before");
    let list = pb::ListDeliveriesRequest { parent: made.name.clone(), ..Default::default() };
    let listed = service.deliveries().list_deliveries(keys::with(&key[0], list)).await.unwrap().into_inner();
    assert_eq!(listed.deliveries.len(), 1);
    // Whoever passes the link on by themselves may replace it, and so may anybody on another day.
    let rotated = resend(Some(false)).await.unwrap();
    preview(&rotated.invitation_token).await.unwrap();
    preview(&made.invitation_token).await.unwrap_err();
    service.clock.advance(Duration::from_secs(86_400));
    assert_eq!(resend(None).await.unwrap().status(), pb::InvitationStatus::Queued);
    service.clock.advance(Duration::from_secs(86_400));
    let replaced = create(&service, &key[0], replace()).await.unwrap();
    assert_eq!(replaced.status(), pb::InvitationStatus::Queued);
    service.stop().await;
}

async fn rate_of_the_account_holds_without_credentials(database: TestDatabase) {
    let limits = [
        ("INVITATION__LIMITS__INVITATIONS_PER_KEY", "1 per 1d"),
        ("INVITATION__LIMITS__FAILED_LOOKUPS_PER_KEY", "1 per 1d"),
        ("INVITATION__LIMITS__INVITATIONS_PER_ACCOUNT", "3 per 60s"),
    ];
    let service = Service::start_with(configuration(&database, &limits), Clock::manual(NEW_YEAR)).await;
    create(&service, "", to(&["a@b.org", "c@d.org", "e@f.org"])).await.unwrap();
    assert_eq!(
        limited(create(&service, "", to(&["a@b.org"])).await, "RATE_LIMITED", "invitations_per_account"),
        Some(20)
    );
    for _ in 0..3 {
        let request = pb::PreviewInvitationRequest { token: "inv_forged".to_owned() };
        refused(service.redemptions().preview_invitation(request).await, Code::NotFound, "INVITATION_NOT_FOUND");
    }
    let mut shown: Vec<_> = quota(&service, "", "").await.into_keys().collect();
    shown.sort();
    assert_eq!(shown, ["api_keys_per_account", "invitations_per_account", "resends_per_invitation"]);
    service.stop().await;
}

async fn limits_that_are_off_are_not_shown(database: TestDatabase) {
    let (service, key) = start(&database, &[("INVITATION__LIMITS__API_KEYS_PER_ACCOUNT", "off")]).await;
    let shown = quota(&service, &key[0], "").await;
    let resends = &shown["resends_per_invitation"];
    assert_eq!((shown.len(), resends.max, resends.used), (1, 10, None));
    assert_eq!(batch(&service, &key[0], 500, true).await.unwrap().len(), 500);
    service.stop().await;
}
