//! The pages in a real browser: the whole way, by keyboard, and how they look and read.

use std::time::Duration;

use invitation_service::pb;
use invitation_service::pb::ReceiptOutcome;
use serde_json::Value;
use tokio::time::{Instant, sleep};

use super::flow::share_link;
use super::person::{ANN, WELCOME, of_ann, start, verified};
use super::webdriver::{Browser, NextService, has_browser};
use crate::contract::codes;
use crate::support::build::{messages, users};
use crate::support::database::TestDatabase;
use crate::support::service::Service;

const HOST: &str = "app.example";
const ENTER: &str = "\u{e007}";
/// The least contrast of text with what is behind it (WCAG 2.2, AA).
const CONTRAST: f64 = 4.5;

/// Returns the least contrast of the texts of a page, with the text that has it.
const LEAST_CONTRAST: &str = "
    const parse = (color) => color.match(/[\\d.]+/g).map(Number);
    const light = (color) => {
        const [r, g, b] = parse(color).map((part) => part / 255)
            .map((part) => part <= 0.04045 ? part / 12.92 : ((part + 0.055) / 1.055) ** 2.4);
        return 0.2126 * r + 0.7152 * g + 0.0722 * b;
    };
    const behind = (element) => {
        for (let at = element; at; at = at.parentElement) {
            const [, , , alpha = 1] = parse(getComputedStyle(at).backgroundColor);
            if (alpha > 0) return getComputedStyle(at).backgroundColor;
        }
        return 'rgb(255, 255, 255)';
    };
    let least = [21, ''];
    for (const element of document.body.querySelectorAll('*')) {
        const own = [...element.childNodes].some((node) => node.nodeType === 3 && node.data.trim());
        if (!own || !element.checkVisibility()) continue;
        const [one, other] = [light(getComputedStyle(element).color), light(behind(element))].sort((a, b) => b - a);
        const contrast = (one + 0.05) / (other + 0.05);
        if (contrast < least[0]) least = [contrast, element.textContent];
    }
    return least;";

async fn until(what: &str, mut is_so: impl AsyncFnMut() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(20);
    while !is_so().await {
        assert!(Instant::now() < deadline, "{what}: not in time");
        sleep(Duration::from_millis(50)).await;
    }
}

async fn heading(browser: &Browser) -> String {
    let heading = browser.script("return document.querySelector('h1')?.innerText ?? ''").await;
    heading.as_str().unwrap().to_owned()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2, crate = "crate::support::limit")]
async fn browser_goes_from_the_link_to_the_next_service() {
    if !has_browser() {
        return;
    }
    let database = TestDatabase::sqlite();
    let service = start(&database).await;
    let next = NextService::start(HOST).await;
    let browser = Browser::start(HOST, next.port).await;
    let made = users::create(&service, of_ann()).await;
    let (base, token) = (format!("http://{}", service.pages.unwrap()), messages::mailed_token(&made.uid, 0));
    browser.open(&format!("{base}/i/{token}")).await;
    assert_eq!(browser.url().await, format!("{base}/i"), "the token has left the address");
    let spoken = browser.spoken().await;
    let has = |role: &str, name: &str| spoken.iter().any(|(of, named)| of == role && named.contains(name));
    assert!(has("main", "") && has("banner", "") && has("contentinfo", ""), "{spoken:?}");
    assert!(has("heading", "Invitation to Acme") && has("textbox", "Your e-mail address"), "{spoken:?}");
    assert!(has("button", "Send the code"), "{spoken:?}");

    // The browser itself refuses what is no address, and sends nothing.
    browser.enter("#email", "nobody").await;
    browser.press(ENTER).await;
    assert_eq!(browser.url().await, format!("{base}/i"));
    browser.script("document.querySelector('#email').value = ''").await;
    browser.enter("#email", ANN).await;
    browser.press(ENTER).await;
    until("the code is asked for", async || browser.text().await.contains("Code from the message")).await;
    assert_eq!(browser.script("return document.activeElement.id").await, "code", "the focus is where the code goes");
    browser.enter("#code", "000000").await;
    browser.press(ENTER).await;
    until("the code is refused", async || browser.text().await.contains("The code is wrong")).await;
    let spoken = browser.spoken().await;
    assert!(spoken.iter().any(|(role, _)| role == "alert"), "{spoken:?}");
    let code = codes::sent(&service, ANN).await.unwrap();
    browser.enter("#code", &code).await;
    browser.press(ENTER).await;
    until("the invitation is open", async || browser.text().await.contains("You answer as")).await;
    assert!(!browser.script("return document.documentElement.outerHTML").await.as_str().unwrap().contains(&token[4..]));

    browser.click("form[action='/i/accept'] button").await;
    until("the next service has the person", async || browser.url().await.starts_with(WELCOME)).await;
    let url = url::Url::parse(&browser.url().await).unwrap();
    let receipt = url.query_pairs().find(|(name, _)| name == "receipt").unwrap().1.into_owned();
    let shown = verified(&service, &receipt).await;
    assert_eq!((shown.outcome(), shown.email.as_str()), (ReceiptOutcome::Accepted, ANN));
    assert_eq!(shown.subject, format!("email:{ANN}"));
    let heads = next.heads();
    let head = heads.iter().find(|head| head.starts_with("GET /welcome?receipt=")).unwrap();
    assert!(!head.to_ascii_lowercase().contains("\r\nreferer:"), "{head}");
    let complaints = browser.complaints().await;
    assert!(!complaints.iter().any(|text| text.contains("Content Security Policy")), "{complaints:?}");
    browser.end().await;
    service.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2, crate = "crate::support::limit")]
async fn form_of_another_origin_does_nothing_in_a_browser() {
    if !has_browser() {
        return;
    }
    let database = TestDatabase::sqlite();
    let service = start(&database).await;
    let next = NextService::start(HOST).await;
    let browser = Browser::start(HOST, next.port).await;
    let made = users::create(&service, of_ann()).await;
    let base = format!("http://{}", service.pages.unwrap());
    browser.open(&format!("{base}/i/{}", messages::mailed_token(&made.uid, 1))).await;
    let visit = browser.script("return document.querySelector('[name=visit]').value").await;
    browser.open(&format!("https://{HOST}/attack")).await;
    // Even with the text of the form, which no other site can read.
    let attack = format!(
        "document.body.innerHTML = `<form method=post action={base}/i/accept><input name=visit value={}></form>`;
         document.forms[0].submit()",
        visit.as_str().unwrap()
    );
    browser.script(&attack).await;
    until("the form is refused", async || heading(&browser).await == "Please try again").await;
    assert_eq!(users::get(&service, &made.name).await.accept_time, None);
    browser.open(&format!("https://{HOST}/frame")).await;
    browser.script(&format!("document.body.innerHTML = `<iframe src={base}/i></iframe>`")).await;
    sleep(Duration::from_millis(500)).await;
    let complaints = browser.complaints().await;
    let is_refused = |text: &String| text.contains("X-Frame-Options") || text.contains("frame-ancestors");
    assert!(complaints.iter().any(is_refused), "{complaints:?}");
    browser.end().await;
    service.stop().await;
}

/// The links of invitations in the states that have a page of their own look.
async fn links(service: &Service) -> Vec<(&'static str, String)> {
    let long = "Looking forward to working with you on the new metering project! The kick-off is next week, and everything is \
                prepared for you.";
    let invitation = pb::UserInvitation { message: long.to_owned(), ..of_ann() };
    let open = users::create(service, invitation).await;
    let expiration = messages::at(1_800).map(pb::user_invitation::Expiration::ExpireTime);
    let expired = pb::UserInvitation { expiration, ..users::user("old@example.org") };
    let expired = users::create(service, expired).await;
    let revoked = users::create(service, users::user("gone@example.org")).await;
    let revoke = pb::RevokeUserInvitationRequest { name: revoked.name, ..Default::default() };
    service.users().revoke_user_invitation(revoke).await.unwrap();
    let share = share_link(service, pb::Invitation { roles: vec!["editor".to_owned()], ..Default::default() }).await;
    let missing = "01920000-0000-7000-8000-00000000ffff";
    vec![
        ("open", messages::mailed_token(&open.uid, 1)),
        ("email", messages::mailed_token(&open.uid, 0)),
        ("share", share.invitation_token),
        ("expired", messages::mailed_token(&expired.uid, 1)),
        ("revoked", messages::mailed_token(&revoked.uid, 1)),
        ("invalid", messages::mailed_token(missing, 0)),
    ]
}

/// Looks at a page light and dark, narrow and wide.
async fn look_at(browser: &Browser, name: &str) {
    for scheme in ["light", "dark"] {
        for width in [360, 1_200] {
            browser.look(width, scheme).await;
            let name = format!("{name}-{scheme}-{width}");
            let wide = browser.script("return document.documentElement.scrollWidth - window.innerWidth").await;
            assert!(wide.as_i64().unwrap() <= 0, "{name} is {wide} pixels wider than its window");
            let least = browser.script(LEAST_CONTRAST).await;
            let Value::Array(least) = least else { panic!("{least}") };
            assert!(least[0].as_f64().unwrap() >= CONTRAST, "{name}: {least:?}");
            browser.shoot(&name).await;
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2, crate = "crate::support::limit")]
async fn pages_fit_and_can_be_read_in_every_look() {
    if !has_browser() {
        return;
    }
    let database = TestDatabase::sqlite();
    let service = start(&database).await;
    let next = NextService::start(HOST).await;
    let browser = Browser::start(HOST, next.port).await;
    let base = format!("http://{}", service.pages.unwrap());
    let links = links(&service).await;
    service.clock.advance(Duration::from_secs(3_600));
    for language in ["en", "de"] {
        browser.speak(language).await;
        for (state, token) in &links {
            browser.open(&format!("{base}/i/{token}")).await;
            assert_eq!(browser.script("return document.documentElement.lang").await, language);
            look_at(&browser, &format!("{state}-{language}")).await;
            match *state {
                "open" => {
                    browser.click("summary").await;
                    look_at(&browser, &format!("decline-{language}")).await;
                }
                "email" => {
                    browser.enter("#email", &format!("{language}@example.org")).await;
                    browser.press(ENTER).await;
                    until("the code is asked for", async || {
                        browser.url().await.ends_with("/i") && !browser.text().await.contains('*')
                    })
                    .await;
                    look_at(&browser, &format!("code-{language}")).await;
                    browser.enter("#code", "000000").await;
                    browser.press(ENTER).await;
                    until("the code is refused", async || browser.url().await.ends_with("/i/verify")).await;
                    look_at(&browser, &format!("wrong-{language}")).await;
                }
                "share" => {
                    browser.click("form[action='/i/accept'] button").await;
                    until("it is accepted", async || !browser.text().await.contains("editor")).await;
                    look_at(&browser, &format!("accepted-{language}")).await;
                }
                _ => {}
            }
        }
    }
    browser.end().await;
    service.stop().await;
}
