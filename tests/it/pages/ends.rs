//! Invitations that cannot be answered any more, said in words.

use std::time::Duration;

use http::StatusCode;
use http::header::{LOCATION, SET_COOKIE};
use invitation_service::clock::Clock;
use invitation_service::pb;
use invitation_service::pb::ReceiptOutcome;

use super::flow::share_link;
use super::person::{PAGES, Person, of_ann, start, verified};
use crate::support::build::{messages, users};
use crate::support::database::{NEW_YEAR, TestDatabase};
use crate::support::service::{Service, configuration};

#[tokio::test(flavor = "multi_thread", worker_threads = 2, crate = "crate::support::limit")]
async fn ended_invitation_says_in_words_that_it_is_over() {
    let database = TestDatabase::sqlite();
    let service = start(&database).await;
    let revoked = users::create(&service, of_ann()).await;
    let expired = users::create(&service, users::user("old@example.org")).await;
    let revoke = pb::RevokeUserInvitationRequest { name: revoked.name, ..Default::default() };
    service.users().revoke_user_invitation(revoke).await.unwrap();
    let used = share_link(&service, pb::Invitation { max_uses: Some(1), ..Default::default() }).await;
    let accept = messages::accept(&used.invitation_token, "u-1");
    service.redemptions().accept_invitation(accept).await.unwrap();
    let mut watcher = Person::of(&service);
    let before = watcher.open(&messages::mailed_token(&expired.uid, 1)).await;
    service.clock.advance(Duration::from_secs(8 * 86_400));
    for (token, heading) in [
        (messages::mailed_token(&revoked.uid, 1), "This invitation has been withdrawn"),
        (messages::mailed_token(&expired.uid, 1), "This invitation has expired"),
        (used.invitation_token.clone(), "This invitation has been used"),
    ] {
        let page = Person::of(&service).open(&token).await;
        assert_eq!((page.status, page.heading()), (StatusCode::GONE, heading));
        assert!(!page.body.contains("<form"), "{}", page.body);
    }
    // The visit that saw it open is over by now as well.
    let late = watcher.submit(&before, "/i/accept", &[]).await;
    assert_eq!((late.status, late.heading()), (StatusCode::BAD_REQUEST, "Please open the link again"));
    service.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2, crate = "crate::support::limit")]
async fn answer_that_comes_too_late_shows_the_state() {
    let database = TestDatabase::sqlite();
    let service = start(&database).await;
    let made = users::create(&service, of_ann()).await;
    let mut ann = Person::of(&service);
    let page = ann.open(&messages::mailed_token(&made.uid, 1)).await;
    let revoke = pb::RevokeUserInvitationRequest { name: made.name, ..Default::default() };
    service.users().revoke_user_invitation(revoke).await.unwrap();
    for path in ["/i/accept", "/i/decline"] {
        let late = ann.submit(&page, path, &[]).await;
        assert_eq!((late.status, late.heading()), (StatusCode::GONE, "This invitation has been withdrawn"), "{path}");
    }
    service.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2, crate = "crate::support::limit")]
async fn full_scope_is_told_before_and_after_a_try() {
    let database = TestDatabase::sqlite();
    let service = start(&database).await;
    let made = share_link(&service, pb::Invitation::default()).await;
    let mut ann = Person::of(&service);
    let page = ann.open(&made.invitation_token).await;
    let scope = Some(pb::ScopeRef { r#type: "team".to_owned(), id: "7".to_owned() });
    let settings = pb::ScopeSettings { scope, seats: Some(0), ..Default::default() };
    let update = pb::UpdateScopeSettingsRequest { scope_settings: Some(settings), ..Default::default() };
    service.scopes().update_scope_settings(update).await.unwrap();
    let late = ann.submit(&page, "/i/accept", &[]).await;
    assert!(late.body.contains("All places are taken"), "{}", late.body);
    let page = Person::of(&service).open(&made.invitation_token).await;
    assert!(page.body.contains("All places are taken") && !page.body.contains("/i/accept"), "{}", page.body);
    service.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2, crate = "crate::support::limit")]
async fn link_that_leads_nowhere_says_nothing_more() {
    let database = TestDatabase::sqlite();
    let service = start(&database).await;
    let missing = messages::mailed_token("01920000-0000-7000-8000-00000000ffff", 0);
    let mut ann = Person::of(&service);
    let page = ann.open(&missing).await;
    assert_eq!((page.status, page.heading()), (StatusCode::NOT_FOUND, "This link leads nowhere"));
    assert!(page.header(SET_COOKIE).contains("Max-Age=0") && ann.cookie.is_none());
    let rotated = messages::create(&service, messages::invitation()).await;
    messages::rotate(&service, &rotated.name).await;
    let rotated = Person::of(&service).open(&rotated.invitation_token).await;
    let forged = ann.get("/i/inv_AQIB").await;
    for other in [&rotated, &forged] {
        assert_eq!((other.status, other.body.as_str()), (page.status, page.body.as_str()));
    }
    assert_eq!((forged.header(LOCATION), forged.header(SET_COOKIE)), ("", ""));
    service.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2, crate = "crate::support::limit")]
async fn address_that_is_no_longer_allowed_is_not_led_to() {
    let database = TestDatabase::sqlite();
    let service = start(&database).await;
    let made = users::create(&service, of_ann()).await;
    let mut ann = Person::of(&service);
    let page = ann.open(&messages::mailed_token(&made.uid, 1)).await;
    let done = ann.answer(&page, "/i/accept", &[]).await;
    assert_eq!(verified(&service, &done.receipt()).await.outcome(), ReceiptOutcome::Accepted);
    service.stop().await;
    let redirects = ("INVITATION__LINKS__REDIRECTS", "https://other.example");
    let service = Service::start_with(configuration(&database, &[PAGES, redirects]), Clock::manual(NEW_YEAR)).await;
    ann.base = format!("http://{}", service.pages.unwrap());
    let done = ann.get("/i").await;
    assert_eq!((done.heading(), done.next()), ("You have accepted", None));
    assert!(!done.body.contains("receipt=") && !done.body.contains("app.example"), "{}", done.body);
    service.stop().await;
}
