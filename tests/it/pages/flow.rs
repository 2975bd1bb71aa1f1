//! From the link to the answer, and to what the next service learns of it.

use http::StatusCode;
use invitation_service::pb;
use invitation_service::pb::ReceiptOutcome;
use tonic::Code;

use super::person::{ANN, Person, WELCOME, of_ann, start, start_with, verified};
use crate::contract::codes;
use crate::support::build::{guests, messages, users};
use crate::support::database::TestDatabase;
use crate::support::expect::refused;
use crate::support::on_both;
use crate::support::service::Service;

on_both!(
    migrated:
    mailed_link_is_accepted_as_its_address,
    code_proves_the_address_of_a_plain_link,
    person_without_address_accepts_as_their_visit,
    declined_invitation_leads_on_with_a_receipt,
    invitation_that_needs_more_leads_on_with_an_intent,
);

/// Creates a share link into a scope.
pub(crate) async fn share_link(service: &Service, more: pb::Invitation) -> pb::Invitation {
    let scope = pb::Scope { display_name: "Team Seven".to_owned(), ..messages::scope("team", "7") };
    let targets = vec![messages::target(pb::TargetType::Share, "flyer")];
    let invitation_type = match more.max_uses {
        Some(1) => pb::InvitationType::SingleUse,
        _ => pb::InvitationType::MultiUse,
    };
    let invitation = pb::Invitation { scope: Some(scope), targets, invitation_type: invitation_type.into(), ..more };
    service.invitations().create_invitation(messages::general(invitation)).await.unwrap().into_inner()
}

async fn mailed_link_is_accepted_as_its_address(database: TestDatabase) {
    let service = start(&database).await;
    let made = users::create(&service, of_ann()).await;
    let mut ann = Person::of(&service);
    let page = ann.open(&messages::mailed_token(&made.uid, 1)).await;
    assert_eq!(page.status, StatusCode::OK);
    for text in ["Bob Builder invites you", "Looking forward to it!", "admin", ANN, "8 January 2026", "lang=\"en\""] {
        assert!(page.body.contains(text), "{text} is not in {}", page.body);
    }
    assert_eq!(users::get(&service, &made.name).await.accept_time, None, "nothing is accepted by looking");

    let done = ann.answer(&page, "/i/accept", &[]).await;
    assert_eq!(done.heading(), "You have accepted");
    assert!(done.next().unwrap().starts_with(&format!("{WELCOME}?receipt=")), "{:?}", done.next());
    let receipt = verified(&service, &done.receipt()).await;
    assert_eq!((receipt.outcome(), receipt.email.as_str()), (ReceiptOutcome::Accepted, ANN));
    assert_eq!(receipt.subject, format!("email:{ANN}"));
    assert_eq!((receipt.account.as_str(), receipt.expire_time), ("default", messages::at(300)));
    let get = pb::GetAcceptanceRequest { name: receipt.acceptance };
    let acceptance = service.invitations().get_acceptance(get).await.unwrap().into_inner();
    assert_eq!((acceptance.subject.as_str(), acceptance.email.as_str()), (receipt.subject.as_str(), ANN));

    // Whoever opens the link again can say that it was they.
    let mut again = Person::of(&service);
    let page = again.open(&messages::mailed_token(&made.uid, 1)).await;
    assert_eq!((page.status, page.heading()), (StatusCode::GONE, "This invitation has been used"));
    let done = again.answer(&page, "/i/accept", &[]).await;
    assert_eq!(verified(&service, &done.receipt()).await.acceptance, acceptance.name);
    service.stop().await;
}

async fn code_proves_the_address_of_a_plain_link(database: TestDatabase) {
    let service = start(&database).await;
    let made = users::create(&service, of_ann()).await;
    let mut ann = Person::of(&service);
    let page = ann.open(&messages::mailed_token(&made.uid, 0)).await;
    assert!(page.body.contains("a***@example.org") && !page.body.contains(ANN), "{}", page.body);

    let wrong = ann.submit(&page, "/i/code", &[("email", "no address")]).await;
    assert_eq!(wrong.status, StatusCode::UNPROCESSABLE_ENTITY);
    assert!(wrong.body.contains("role=\"alert\"") && wrong.body.contains("aria-invalid"), "{}", wrong.body);
    let page = ann.answer(&wrong, "/i/code", &[("email", " Ann@Example.org ")]).await;
    assert!(page.body.contains("Ann@Example.org") && page.body.contains("one-time-code"), "{}", page.body);
    let soon = ann.submit(&page, "/i/code", &[("email", ANN)]).await;
    assert_eq!(soon.status, StatusCode::TOO_MANY_REQUESTS, "one code a minute");
    let code = codes::sent(&service, ANN).await.unwrap();
    for wrong in [codes::other(&code), "12".to_owned(), String::new()] {
        let page = ann.submit(&page, "/i/verify", &[("code", &wrong)]).await;
        assert_eq!(page.status, StatusCode::UNPROCESSABLE_ENTITY, "{wrong}");
        assert!(page.body.contains("The code is wrong"), "{}", page.body);
    }
    let page = ann.answer(&page, "/i/verify", &[("code", &format!("{} {}", &code[..3], &code[3..]))]).await;
    assert!(page.body.contains("You answer as Ann@Example.org"), "{}", page.body);
    let done = ann.answer(&page, "/i/accept", &[]).await;
    let receipt = verified(&service, &done.receipt()).await;
    assert_eq!((receipt.subject.as_str(), receipt.email.as_str()), ("email:ann@example.org", "Ann@Example.org"));
    let types = messages::event_types(&service, &made.name).await;
    assert!(types.contains(&"invitation.email_verified".to_owned()), "{types:?}");
    service.stop().await;
}

async fn person_without_address_accepts_as_their_visit(database: TestDatabase) {
    let service = start(&database).await;
    let made = share_link(&service, pb::Invitation::default()).await;
    let mut one = Person::of(&service);
    let page = one.open(&made.invitation_token).await;
    assert_eq!(page.heading(), "Invitation to Team Seven");
    let done = one.answer(&page, "/i/accept", &[]).await;
    assert!(done.body.contains("You can close this page now") && done.next().is_none(), "{}", done.body);
    // A form that is sent twice, from another window, finds the same acceptance.
    let twice = one.answer(&page, "/i/accept", &[]).await;
    assert_eq!(twice.heading(), "You have accepted");
    let mut other = Person::of(&service);
    let page = other.open(&made.invitation_token).await;
    other.answer(&page, "/i/accept", &[]).await;
    let list = pb::ListAcceptancesRequest { parent: made.name, ..Default::default() };
    let listed = service.invitations().list_acceptances(list).await.unwrap().into_inner().acceptances;
    assert_eq!(listed.len(), 2);
    assert!(listed.iter().all(|acceptance| acceptance.subject.starts_with("page:") && acceptance.email.is_empty()));
    service.stop().await;
}

async fn declined_invitation_leads_on_with_a_receipt(database: TestDatabase) {
    let service = start(&database).await;
    let made = users::create(&service, of_ann()).await;
    let mut ann = Person::of(&service);
    let page = ann.open(&messages::mailed_token(&made.uid, 1)).await;
    let done = ann.answer(&page, "/i/decline", &[("reason", "No time")]).await;
    assert_eq!(done.heading(), "You have declined");
    let receipt = verified(&service, &done.receipt()).await;
    assert_eq!((receipt.outcome(), receipt.acceptance.as_str()), (ReceiptOutcome::Declined, ""));
    let events = messages::events(&service, &made.name).await;
    let Some(pb::event::Payload::Declined(declined)) = &events.last().unwrap().payload else { panic!("{events:?}") };
    assert_eq!(declined.reason, "No time");
    let page = Person::of(&service).open(&messages::mailed_token(&made.uid, 1)).await;
    assert_eq!((page.status, page.heading()), (StatusCode::GONE, "This invitation has been declined"));
    service.stop().await;
}

async fn invitation_that_needs_more_leads_on_with_an_intent(database: TestDatabase) {
    let service = start(&database).await;
    let redirect_uri = WELCOME.to_owned();
    let made = messages::create(&service, pb::ConnectionInvitation { redirect_uri, ..messages::once_for(ANN) }).await;
    let mut ann = Person::of(&service);
    let page = ann.open(&made.invitation_token).await;
    let page = ann.answer(&page, "/i/code", &[("email", ANN)]).await;
    let code = codes::sent(&service, ANN).await.unwrap();
    let page = ann.answer(&page, "/i/verify", &[("code", &code)]).await;
    let done = ann.answer(&page, "/i/accept", &[]).await;
    assert_eq!(done.heading(), "One more step");
    let receipt = verified(&service, &done.receipt()).await;
    assert_eq!((receipt.outcome(), receipt.email.as_str()), (ReceiptOutcome::Intended, ANN));
    assert_eq!(messages::get(&service, &made.name).await.use_count, 0, "the page has accepted nothing");
    let accept =
        pb::AcceptInvitationRequest { email_proof: receipt.email_proof, ..messages::accept(&receipt.token, "u-17") };
    let accepted = service.redemptions().accept_invitation(accept).await.unwrap().into_inner();
    assert_eq!(accepted.acceptance.unwrap().email, ANN);

    // Without an address to go on to, the page says so, and has nothing to press.
    let made = guests::create(&service, guests::guest("guest@example.org")).await;
    let page = Person::of(&service).open(&messages::mailed_token(&made.uid, 1)).await;
    assert!(page.body.contains("sign in to Acme") && !page.body.contains("/i/accept"), "{}", page.body);
    service.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2, crate = "crate::support::limit")]
async fn visit_counts_one_view_and_a_program_an_unfurl() {
    let database = TestDatabase::sqlite();
    let service = start(&database).await;
    let made = share_link(&service, pb::Invitation::default()).await;
    let mut ann = Person::of(&service);
    ann.open(&made.invitation_token).await;
    ann.get("/i").await;
    ann.open(&made.invitation_token).await;
    let bot = "Slackbot-LinkExpanding 1.0 (+https://api.slack.com/robots)";
    let link = format!("/i/{}", made.invitation_token);
    Person::of(&service).saying("user-agent", bot).get(&link).await;
    for path in [link.as_str(), "/i"] {
        let head = ann.send(http::Method::HEAD, path, &[], None).await;
        assert_eq!((head.status, head.body.as_str(), head.header("set-cookie")), (StatusCode::OK, "", ""));
    }
    let read = messages::get_general(&service, &made.name).await;
    assert_eq!((read.view_count, read.unfurl_count, read.use_count), (1, 1, 0));
    let events = messages::events(&service, &made.name).await;
    let sources = events.iter().filter_map(|event| match &event.payload {
        Some(pb::event::Payload::Engagement(engagement)) => Some(engagement.source.as_str()),
        _ => None,
    });
    assert_eq!(sources.collect::<Vec<_>>(), ["page", "page"]);
    service.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2, crate = "crate::support::limit")]
async fn configured_kinds_are_accepted_by_the_page() {
    let database = TestDatabase::sqlite();
    let service = start_with(&database, &[("INVITATION__PAGES__ACCEPT", "connection")]).await;
    let made = messages::create(&service, messages::invitation()).await;
    let mut ann = Person::of(&service);
    let page = ann.open(&made.invitation_token).await;
    let done = ann.answer(&page, "/i/accept", &[]).await;
    assert_eq!(done.heading(), "You have accepted");
    assert_eq!(messages::get(&service, &made.name).await.use_count, 1);
    let made = users::create(&service, of_ann()).await;
    let mut ann = Person::of(&service);
    let page = ann.open(&messages::mailed_token(&made.uid, 1)).await;
    let done = ann.answer(&page, "/i/accept", &[]).await;
    assert_eq!(verified(&service, &done.receipt()).await.outcome(), ReceiptOutcome::Intended);
    service.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2, crate = "crate::support::limit")]
async fn receipt_of_a_page_ends_with_its_time() {
    let database = TestDatabase::sqlite();
    let service = start_with(&database, &[("INVITATION__PAGES__RECEIPT_TTL", "30s")]).await;
    let made = users::create(&service, of_ann()).await;
    let mut ann = Person::of(&service);
    let page = ann.open(&messages::mailed_token(&made.uid, 1)).await;
    let done = ann.answer(&page, "/i/accept", &[]).await;
    service.clock.advance(std::time::Duration::from_secs(30));
    let late = service.redemptions().verify_receipt(pb::VerifyReceiptRequest { receipt: done.receipt() }).await;
    refused(late, Code::PermissionDenied, "RECEIPT_EXPIRED");
    // The page has another one as long as the visit lasts.
    let again = ann.get("/i").await;
    assert_eq!(verified(&service, &again.receipt()).await.outcome(), ReceiptOutcome::Accepted);
    service.stop().await;
}
