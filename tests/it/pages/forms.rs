//! Forms that are none of the pages' own, and requests that no page asks for.

use http::header::ALLOW;
use http::{Method, StatusCode};

use super::person::{Answer, Person, encoded, of_ann, start, start_with};
use crate::support::build::{messages, users};
use crate::support::database::TestDatabase;
use crate::support::service::Service;

const FORM: (&str, &str) = ("content-type", "application/x-www-form-urlencoded");

/// Ann before an open invitation.
async fn opened(service: &Service) -> (Person, Answer, String) {
    let made = users::create(service, of_ann()).await;
    let mut ann = Person::of(service);
    let page = ann.open(&messages::mailed_token(&made.uid, 1)).await;
    (ann, page, made.name)
}

async fn is_open(service: &Service, name: &str) -> bool {
    let read = users::get(service, name).await;
    read.accept_time.is_none() && read.decline_time.is_none()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2, crate = "crate::support::limit")]
async fn form_of_another_site_is_refused() {
    let database = TestDatabase::sqlite();
    let service = start(&database).await;
    let (mut ann, page, name) = opened(&service).await;
    let (own, body) = (ann.base.clone(), encoded(&[("visit", &page.visit())]));
    let others: [&[(&'static str, &str)]; 9] = [
        &[],
        &[("origin", "https://evil.example")],
        &[("origin", "null")],
        &[("origin", "http://127.0.0.1")],
        &[("origin", &own), ("sec-fetch-site", "cross-site")],
        &[("origin", &own), ("sec-fetch-site", "same-site")],
        &[("origin", &own), ("sec-fetch-site", "none")],
        &[("origin", "https://evil.example"), ("sec-fetch-site", "same-origin")],
        &[("origin", &own), ("host", "evil.example")],
    ];
    for path in ["/i/code", "/i/verify", "/i/email", "/i/accept", "/i/decline"] {
        for other in others {
            let headers = [&[FORM], other].concat();
            let refused = ann.send(Method::POST, path, &headers, Some(body.clone())).await;
            assert_eq!(
                (refused.status, refused.heading()),
                (StatusCode::FORBIDDEN, "Please try again"),
                "{path} {other:?}"
            );
        }
    }
    assert!(is_open(&service, &name).await);
    // Each of the two headers is enough where a browser sends one of them.
    for one in [[FORM, ("origin", &own)], [FORM, ("sec-fetch-site", "same-origin")]] {
        let taken = ann.send(Method::POST, "/i/email", &one, Some(body.clone())).await;
        assert_eq!(taken.status, StatusCode::SEE_OTHER);
    }
    service.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2, crate = "crate::support::limit")]
async fn origin_of_the_configuration_decides() {
    let database = TestDatabase::sqlite();
    let service = start_with(&database, &[("INVITATION__PAGES__ORIGIN", "https://join.example")]).await;
    let (mut ann, page, _) = opened(&service).await;
    let (own, body) = (ann.base.clone(), encoded(&[("visit", &page.visit())]));
    let refused = ann.send(Method::POST, "/i/email", &[FORM, ("origin", &own)], Some(body.clone())).await;
    assert_eq!(refused.status, StatusCode::FORBIDDEN, "the host of the request counts no more");
    let taken = ann.send(Method::POST, "/i/email", &[FORM, ("origin", "https://join.example")], Some(body)).await;
    assert_eq!(taken.status, StatusCode::SEE_OTHER);
    service.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2, crate = "crate::support::limit")]
async fn form_without_its_own_visit_is_refused() {
    let database = TestDatabase::sqlite();
    let service = start(&database).await;
    let (mut ann, page, name) = opened(&service).await;
    let mut eve = Person::of(&service);
    let of_eve = eve.open(&messages::mailed_token(name.trim_start_matches("userInvitations/"), 1)).await;
    let cookie = ann.cookie.clone();
    for (visit, cookie, status) in [
        (String::new(), cookie.clone(), StatusCode::FORBIDDEN),
        ("00000000-0000-0000-0000-000000000000".to_owned(), cookie.clone(), StatusCode::FORBIDDEN),
        (of_eve.visit(), cookie.clone(), StatusCode::FORBIDDEN),
        (page.visit(), eve.cookie.clone(), StatusCode::FORBIDDEN),
        (page.visit(), None, StatusCode::BAD_REQUEST),
        (page.visit(), cookie.clone().map(|cookie| cookie + "A"), StatusCode::BAD_REQUEST),
        (page.visit(), Some("invitation=x".to_owned()), StatusCode::BAD_REQUEST),
    ] {
        ann.cookie = cookie;
        let own = ann.base.clone();
        let body = encoded(&[("visit", &visit)]);
        let refused = ann.send(Method::POST, "/i/accept", &[FORM, ("origin", &own)], Some(body)).await;
        assert_eq!(refused.status, status, "{visit}");
    }
    assert!(is_open(&service, &name).await);
    ann.cookie = cookie;
    assert_eq!(ann.answer(&page, "/i/accept", &[]).await.heading(), "You have accepted");
    service.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2, crate = "crate::support::limit")]
async fn steps_cannot_be_skipped() {
    let database = TestDatabase::sqlite();
    let service = start(&database).await;
    let made = users::create(&service, of_ann()).await;
    let mut eve = Person::of(&service);
    let page = eve.open(&messages::mailed_token(&made.uid, 0)).await;
    for (path, fields) in [("/i/accept", &[][..]), ("/i/verify", &[("code", "123456")])] {
        let back = eve.answer(&page, path, fields).await;
        assert!(back.body.contains("id=\"email\""), "{path}: {}", back.body);
    }
    let asked = eve.answer(&page, "/i/code", &[("email", "eve@evil.example")]).await;
    assert!(asked.body.contains("If this address is invited"), "it does not say whether it is: {}", asked.body);
    let back = eve.answer(&asked, "/i/accept", &[]).await;
    assert!(back.body.contains("id=\"code\""), "{}", back.body);
    let other = eve.answer(&back, "/i/email", &[]).await;
    assert!(other.body.contains("id=\"email\""), "{}", other.body);
    assert!(is_open(&service, &made.name).await);
    service.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2, crate = "crate::support::limit")]
async fn other_methods_and_bodies_are_refused() {
    let database = TestDatabase::sqlite();
    let service = start(&database).await;
    let (mut ann, page, name) = opened(&service).await;
    let link = format!("/i/{}", messages::mailed_token(name.trim_start_matches("userInvitations/"), 1));
    for (path, allowed, others) in [
        (link.as_str(), "GET, HEAD", [Method::POST, Method::PUT, Method::OPTIONS]),
        ("/i", "GET, HEAD", [Method::POST, Method::DELETE, Method::TRACE]),
        ("/i/accept", "POST", [Method::GET, Method::HEAD, Method::PUT]),
        ("/i/decline", "POST", [Method::GET, Method::HEAD, Method::PATCH]),
    ] {
        for method in others {
            let refused = ann.send(method.clone(), path, &[], None).await;
            assert_eq!(
                (refused.status, refused.header(ALLOW)),
                (StatusCode::METHOD_NOT_ALLOWED, allowed),
                "{method} {path}"
            );
        }
    }
    let (own, body) = (ann.base.clone(), encoded(&[("visit", &page.visit())]));
    for media in ["application/json", "text/plain", "multipart/form-data; boundary=x", ""] {
        let headers = [("content-type", media), ("origin", own.as_str())];
        let refused = ann.send(Method::POST, "/i/accept", &headers, Some(body.clone())).await;
        assert_eq!(refused.status, StatusCode::UNSUPPORTED_MEDIA_TYPE, "{media}");
    }
    let large = format!("{body}&reason={}", "x".repeat(8 * 1024));
    let refused = ann.send(Method::POST, "/i/decline", &[FORM, ("origin", &own)], Some(large)).await;
    assert_eq!(refused.status, StatusCode::PAYLOAD_TOO_LARGE);
    assert!(is_open(&service, &name).await);
    service.stop().await;
}
