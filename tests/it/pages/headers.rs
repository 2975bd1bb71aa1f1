//! The headers of all pages, and the secrets that are in none of them.

use data_encoding::BASE64;
use http::StatusCode;
use http::header::{
    CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE, LOCATION, REFERRER_POLICY, SET_COOKIE, X_CONTENT_TYPE_OPTIONS,
};
use invitation_service::domain::secret::key_ring::{KeyRing, Sealed};
use invitation_service::pb;
use sha2::{Digest as _, Sha256};

use super::person::{Answer, Person, of_ann, start, start_with};
use crate::support::build::{messages, users};
use crate::support::database::TestDatabase;
use crate::support::service::KEYS;

fn assert_guarded(answer: &Answer) {
    let policy = answer.header(CONTENT_SECURITY_POLICY);
    for directive in ["default-src 'none'", "frame-ancestors 'none'", "base-uri 'none'", "form-action "] {
        assert!(policy.contains(directive), "{directive}: {policy}");
    }
    assert!(!policy.contains("script") && !policy.contains("unsafe") && !policy.contains("http"), "{policy}");
    assert_eq!(answer.header(CACHE_CONTROL), "no-store");
    assert_eq!(answer.header(X_CONTENT_TYPE_OPTIONS), "nosniff");
    assert_eq!(answer.header("x-robots-tag"), "noindex, nofollow");
    assert_eq!(answer.header("x-frame-options"), "DENY");
    assert!(["same-origin", "no-referrer"].contains(&answer.header(REFERRER_POLICY)));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2, crate = "crate::support::limit")]
async fn every_answer_is_guarded_and_loads_nothing() {
    let database = TestDatabase::sqlite();
    let service = start(&database).await;
    let made = users::create(&service, of_ann()).await;
    let (plain, mailed) = (messages::mailed_token(&made.uid, 0), messages::mailed_token(&made.uid, 1));
    let mut ann = Person::of(&service);
    let asks = ann.open(&plain).await;
    let mut answers = vec![ann.get(&format!("/i/{mailed}")).await, ann.get("/i").await, asks];
    for path in ["/", "/robots.txt", "/favicon.ico", "/i/inv_nothing", "/i/a/b", "/i/accept"] {
        answers.push(ann.get(path).await);
    }
    let page = ann.get("/i").await;
    answers.push(ann.submit(&page, "/i/code", &[("email", "x")]).await);
    answers.push(ann.answer(&page, "/i/accept", &[]).await);
    for answer in &answers {
        assert_guarded(answer);
        if !answer.header(CONTENT_TYPE).starts_with("text/html") {
            continue;
        }
        let (_, style) = answer.body.split_once("<style>").unwrap();
        let style = style.split_once("</style>").unwrap().0;
        let hash = BASE64.encode(&Sha256::digest(style.as_bytes()));
        let policy = answer.header(CONTENT_SECURITY_POLICY);
        assert!(policy.contains(&format!("style-src 'sha256-{hash}';")), "{policy}");
        let tags = answer.body.split('<').skip(1).map(|tag| tag.split('>').next().unwrap());
        for tag in tags {
            assert!(
                !["script", "link", "img", "iframe", "object", "embed"].iter().any(|part| tag.starts_with(part)),
                "{tag}"
            );
            // Handlers are attributes whose names begin with `on`.
            let names = tag.split_whitespace().filter_map(|part| part.split_once('=')).map(|(name, _)| name);
            let bad: Vec<_> = names.filter(|name| name.starts_with("on") || ["src", "style"].contains(name)).collect();
            assert!(bad.is_empty(), "{tag}");
        }
        assert!(!style.contains("url(") && !style.contains("@import"), "{style}");
    }
    assert_eq!(ann.get("/robots.txt").await.body, "User-agent: *\nDisallow: /\n");
    service.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2, crate = "crate::support::limit")]
async fn token_is_nowhere_after_the_first_step() {
    let database = TestDatabase::sqlite();
    let service = start(&database).await;
    let made = users::create(&service, of_ann()).await;
    let token = messages::mailed_token(&made.uid, 1);
    let mut ann = Person::of(&service);
    let moved = ann.get(&format!("/i/{token}")).await;
    assert_eq!((moved.status, moved.header(LOCATION)), (StatusCode::SEE_OTHER, "/i"));
    assert_eq!((moved.header(REFERRER_POLICY), moved.body.as_str()), ("no-referrer", ""));
    let page = ann.get("/i").await;
    let done = ann.answer(&page, "/i/accept", &[]).await;
    let claims = token.trim_start_matches("inv_");
    for answer in [&moved, &page, &done] {
        let headers = format!("{:?}", answer.headers);
        assert!(!headers.contains(claims) && !answer.body.contains(claims), "{headers} {}", answer.body);
    }
    let (name, sealed) = ann.cookie.as_ref().unwrap().split_once('=').unwrap();
    let bytes = data_encoding::BASE64URL_NOPAD.decode(sealed.as_bytes()).unwrap();
    let holds = |text: &[u8]| bytes.windows(text.len()).any(|window| window == text);
    assert!(name == "invitation" && !holds(claims.as_bytes()) && !holds(b"ann@"), "the cookie can be read");
    let opened = KeyRing::parse(KEYS).unwrap().open_as(Sealed::Visit, b"1", sealed).unwrap();
    assert!(String::from_utf8(opened).unwrap().contains(claims), "it is the cookie that has the token");
    service.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2, crate = "crate::support::limit")]
async fn cookie_is_for_the_pages_alone_and_for_tls() {
    let database = TestDatabase::sqlite();
    for (origin, wanted) in [
        ("", "invitation=VALUE; Path=/i; Max-Age=1800; HttpOnly; SameSite=Lax"),
        ("https://join.example", "__Secure-invitation=VALUE; Path=/i; Max-Age=1800; HttpOnly; SameSite=Lax; Secure"),
    ] {
        let service = start_with(&database, &[("INVITATION__PAGES__ORIGIN", origin)]).await;
        let mut ann = Person::of(&service);
        let moved = ann.get(&format!("/i/{}", messages::mailed_token("01920000-0000-7000-8000-0000000000aa", 0))).await;
        let set = moved.header(SET_COOKIE);
        let value = set.split_once('=').unwrap().1.split(';').next().unwrap();
        assert_eq!(set.replace(value, "VALUE"), wanted);
        service.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2, crate = "crate::support::limit")]
async fn names_and_words_of_others_are_text() {
    let database = TestDatabase::sqlite();
    let service = start(&database).await;
    let hostile = "<script>alert(1)</script>\"'&\u{202e}";
    let invitation = pb::UserInvitation {
        inviter: Some(pb::Inviter { display_name: hostile.to_owned(), ..Default::default() }),
        message: hostile.to_owned(),
        roles: vec![hostile.to_owned()],
        ..of_ann()
    };
    let made = users::create(&service, invitation).await;
    let mut ann = Person::of(&service);
    let page = ann.open(&messages::mailed_token(&made.uid, 1)).await;
    let escaped = "&lt;script&gt;alert(1)&lt;&#x2f;script&gt;&quot;&#x27;&amp;";
    assert_eq!(page.body.matches(escaped).count(), 4, "{}", page.body);
    assert!(!page.body.contains("<script") && !page.body.contains('\u{202e}'), "{}", page.body);
    let code = ann.submit(&page, "/i/code", &[("email", "\"><img src=x>@example.org")]).await;
    assert!(!code.body.contains("<img"), "{}", code.body);
    service.stop().await;
}
