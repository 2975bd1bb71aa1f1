//! The preview of a link for programs, and the place where it leads people.

use http::StatusCode;
use http::header::{CACHE_CONTROL, LOCATION, REFERRER_POLICY, SET_COOKIE};
use invitation_service::pb;

use super::flow::share_link;
use super::person::{ANN, Person, of_ann, start, start_with};
use crate::support::build::{messages, users};
use crate::support::database::TestDatabase;

const BOT: &str = "facebookexternalhit/1.1";

#[tokio::test(flavor = "multi_thread", worker_threads = 2, crate = "crate::support::limit")]
async fn program_gets_the_configured_preview() {
    let database = TestDatabase::sqlite();
    let service = start(&database).await;
    let unfurl_config = Some(pb::UnfurlConfig {
        title: "Join \"Team\" <Seven>".to_owned(),
        description: "Ann & Bob".to_owned(),
        image_uri: "https://app.example/team.png?a=1&b=2".to_owned(),
        r#type: "article".to_owned(),
        site_name: "Acme Energy".to_owned(),
    });
    let made = share_link(&service, pb::Invitation { unfurl_config, ..Default::default() }).await;
    let mut bot = Person::of(&service).saying("user-agent", BOT);
    let page = bot.get(&format!("/i/{}", made.invitation_token)).await;
    assert_eq!((page.status, page.header(SET_COOKIE)), (StatusCode::OK, ""));
    for (property, content) in [
        ("title", "Join &quot;Team&quot; &lt;Seven&gt;"),
        ("description", "Ann &amp; Bob"),
        ("image", "https:&#x2f;&#x2f;app.example&#x2f;team.png?a=1&amp;b=2"),
        ("type", "article"),
        ("site_name", "Acme Energy"),
    ] {
        let tag = format!("<meta property=\"og:{property}\" content=\"{content}\">");
        assert!(page.body.contains(&tag), "{tag} is not in {}", page.body);
    }
    assert!(!page.body.contains(&made.invitation_token) && !page.body.contains("<form"), "{}", page.body);
    service.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2, crate = "crate::support::limit")]
async fn preview_of_a_mailed_link_shows_no_address() {
    let database = TestDatabase::sqlite();
    let service = start(&database).await;
    let made = users::create(&service, pb::UserInvitation { locale: "de".to_owned(), ..of_ann() }).await;
    let mut bot = Person::of(&service).saying("user-agent", BOT).saying("accept-language", "");
    let page = bot.get(&format!("/i/{}", messages::mailed_token(&made.uid, 1))).await;
    for text in ["lang=\"de\"", "Bob Builder lädt Sie", "og:site_name\" content=\"Acme\""] {
        assert!(page.body.contains(text), "{text} is not in {}", page.body);
    }
    assert!(!page.body.contains(ANN), "{}", page.body);
    let invalid = bot.get("/i/inv_nothing").await;
    assert_eq!(invalid.status, StatusCode::NOT_FOUND);
    service.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2, crate = "crate::support::limit")]
async fn configured_page_gets_people_with_the_token() {
    let database = TestDatabase::sqlite();
    let redirect = ("INVITATION__PAGES__REDIRECT", "https://app.example/join#{token}");
    let service = start_with(&database, &[redirect]).await;
    let made = share_link(&service, pb::Invitation::default()).await;
    let mut ann = Person::of(&service);
    let link = format!("/i/{}", made.invitation_token);
    let moved = ann.get(&link).await;
    assert_eq!(moved.status, StatusCode::SEE_OTHER);
    assert_eq!(moved.header(LOCATION), format!("https://app.example/join#{}", made.invitation_token));
    assert_eq!((moved.header(CACHE_CONTROL), moved.header(REFERRER_POLICY)), ("no-store", "no-referrer"));
    assert_eq!(moved.header(SET_COOKIE), "");
    let forged = ann.get("/i/inv_nothing").await;
    assert_eq!((forged.status, forged.header(LOCATION)), (StatusCode::NOT_FOUND, ""));
    let unfurled = ann.send(http::Method::GET, &link, &[("user-agent", BOT)], None).await;
    assert_eq!(unfurled.status, StatusCode::OK);
    let read = messages::get_general(&service, &made.name).await;
    assert_eq!((read.click_count, read.view_count, read.unfurl_count), (1, 0, 1));
    service.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2, crate = "crate::support::limit")]
async fn page_is_in_the_language_of_its_visitor() {
    let database = TestDatabase::sqlite();
    let service = start_with(&database, &[("INVITATION__PAGES__LOCALE", "de")]).await;
    let made = users::create(&service, pb::UserInvitation { locale: "en".to_owned(), ..of_ann() }).await;
    for (wanted, locale) in [("de-AT, en;q=0.5", "de"), ("fr", "en"), ("", "en"), ("en-US", "en")] {
        let mut ann = Person::of(&service).saying("accept-language", wanted);
        let page = ann.open(&messages::mailed_token(&made.uid, 1)).await;
        assert!(page.body.contains(&format!("<html lang=\"{locale}\">")), "{wanted}: {}", page.body);
    }
    let mut nobody = Person::of(&service).saying("accept-language", "fr");
    assert!(nobody.get("/").await.body.contains("<html lang=\"de\">"));
    service.stop().await;
}
