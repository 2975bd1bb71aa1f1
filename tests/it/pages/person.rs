//! A person with a browser that keeps one cookie, and the service whose pages they visit.

use std::collections::BTreeMap;

use http::header::{ACCEPT_LANGUAGE, COOKIE, LOCATION, ORIGIN, REFRESH, SET_COOKIE, USER_AGENT};
use http::{HeaderMap, Method, StatusCode};
use invitation_service::clock::Clock;
use invitation_service::pb;
use reqwest::Client;
use reqwest::redirect::Policy;

use crate::support::build::users;
use crate::support::database::{NEW_YEAR, TestDatabase};
use crate::support::service::{Service, configuration};

pub(crate) const ANN: &str = "ann@example.org";
pub(crate) const WELCOME: &str = "https://app.example/welcome";
const FIREFOX: &str = "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0";
const FORM: &str = "application/x-www-form-urlencoded";

/// A service with pages on any port.
pub(crate) const PAGES: (&str, &str) = ("INVITATION__PAGES__LISTEN", "127.0.0.1:0");

/// Starts a service with pages.
pub(crate) async fn start(database: &TestDatabase) -> Service {
    start_with(database, &[]).await
}

/// Starts it with more configuration.
pub(crate) async fn start_with(database: &TestDatabase, more: &[(&'static str, &str)]) -> Service {
    let more = [&[PAGES, ("INVITATION__MAIL__FROM", "Acme <no-reply@acme.example>")], more].concat();
    Service::start_with(configuration(database, &more), Clock::manual(NEW_YEAR)).await
}

/// An invitation of Ann by Bob, with an address to go on to.
pub(crate) fn of_ann() -> pb::UserInvitation {
    pb::UserInvitation {
        inviter: Some(pb::Inviter { display_name: "Bob Builder".to_owned(), ..Default::default() }),
        message: "Looking forward to it!".to_owned(),
        roles: vec!["admin".to_owned()],
        redirect_uri: WELCOME.to_owned(),
        ..users::user(ANN)
    }
}

/// An answer, with all that it has.
pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) body: String,
}

impl Answer {
    pub(crate) fn header(&self, name: impl http::header::AsHeaderName) -> &str {
        self.headers.get(name).map(|value| value.to_str().unwrap()).unwrap_or_default()
    }

    /// The heading of the page.
    pub(crate) fn heading(&self) -> &str {
        let (_, rest) = self.body.split_once("<h1>").unwrap_or_else(|| panic!("no page: {}", self.body));
        rest.split_once("</h1>").unwrap().0
    }

    /// The address that the browser is led to by itself.
    pub(crate) fn next(&self) -> Option<String> {
        self.header(REFRESH).strip_prefix("0;url=").map(str::to_owned)
    }

    /// The receipt in that address.
    pub(crate) fn receipt(&self) -> String {
        let next = url::Url::parse(&self.next().expect("it leads on")).unwrap();
        next.query_pairs().find(|(name, _)| name == "receipt").expect("there is a receipt").1.into_owned()
    }

    /// The text that ties the forms of the page to its visit.
    pub(crate) fn visit(&self) -> String {
        let (_, rest) = self.body.split_once("name=\"visit\" value=\"").expect("there is a form");
        rest.split_once('"').unwrap().0.to_owned()
    }
}

/// A person with a browser.
pub(crate) struct Person {
    client: Client,
    pub(crate) base: String,
    /// The cookie, as `name=value`.
    pub(crate) cookie: Option<String>,
    pub(crate) headers: BTreeMap<&'static str, String>,
}

impl Person {
    /// Somebody who has visited nothing yet.
    pub(crate) fn of(service: &Service) -> Self {
        Self::at(&service.pages.unwrap().to_string())
    }

    /// Somebody who has visited nothing yet, at the address of the pages.
    pub(crate) fn at(address: &str) -> Self {
        // Fails where a service of this process has installed it already.
        drop(rustls::crypto::ring::default_provider().install_default());
        let client = Client::builder().redirect(Policy::none()).build().unwrap();
        let base = format!("http://{address}");
        let headers = [(USER_AGENT.as_str(), FIREFOX), (ACCEPT_LANGUAGE.as_str(), "en-GB,en;q=0.7")];
        let headers = headers.map(|(name, value)| (name, value.to_owned()));
        Self { client, base, cookie: None, headers: BTreeMap::from(headers) }
    }

    pub(crate) fn saying(mut self, header: &'static str, value: &str) -> Self {
        self.headers.insert(header, value.to_owned());
        self
    }

    /// Sends a request with these headers besides the person's own, which they replace; an empty one is left out.
    pub(crate) async fn send(
        &mut self,
        method: Method,
        path: &str,
        headers: &[(&'static str, &str)],
        body: Option<String>,
    ) -> Answer {
        let mut all = self.headers.clone();
        if let Some(cookie) = &self.cookie {
            all.insert(COOKIE.as_str(), cookie.clone());
        }
        all.extend(headers.iter().map(|(name, value)| (*name, (*value).to_owned())));
        let mut request = self.client.request(method, format!("{}{path}", self.base));
        for (name, value) in all.iter().filter(|(_, value)| !value.is_empty()) {
            request = request.header(*name, value);
        }
        let response = match body {
            Some(body) => request.body(body),
            None => request,
        }
        .send()
        .await
        .unwrap();
        let (status, headers) = (response.status(), response.headers().clone());
        if let Some(set) = headers.get(SET_COOKIE) {
            let pair = set.to_str().unwrap().split(';').next().unwrap();
            self.cookie = Some(pair.to_owned()).filter(|pair| !pair.ends_with('='));
        }
        Answer { status, headers, body: response.text().await.unwrap() }
    }

    pub(crate) async fn get(&mut self, path: &str) -> Answer {
        self.send(Method::GET, path, &[], None).await
    }

    /// Follows a link to its page.
    pub(crate) async fn open(&mut self, token: &str) -> Answer {
        let moved = self.get(&format!("/i/{token}")).await;
        assert_eq!((moved.status, moved.header(LOCATION)), (StatusCode::SEE_OTHER, "/i"), "{}", moved.body);
        self.get("/i").await
    }

    /// Sends a form as the page before it has it, without following where it leads.
    pub(crate) async fn submit(&mut self, page: &Answer, path: &str, fields: &[(&str, &str)]) -> Answer {
        let visit = page.visit();
        let fields = [&[("visit", visit.as_str())], fields].concat();
        let origin = self.base.clone();
        let headers = [("content-type", FORM), (ORIGIN.as_str(), &origin), ("sec-fetch-site", "same-origin")];
        self.send(Method::POST, path, &headers, Some(encoded(&fields))).await
    }

    /// Sends a form, and follows to the page behind it.
    pub(crate) async fn answer(&mut self, page: &Answer, path: &str, fields: &[(&str, &str)]) -> Answer {
        let moved = self.submit(page, path, fields).await;
        assert_eq!((moved.status, moved.header(LOCATION)), (StatusCode::SEE_OTHER, "/i"), "{}", moved.body);
        self.get("/i").await
    }
}

/// A form as browsers send it.
pub(crate) fn encoded(fields: &[(&str, &str)]) -> String {
    url::form_urlencoded::Serializer::new(String::new()).extend_pairs(fields).finish()
}

/// Returns what a receipt says.
pub(crate) async fn verified(service: &Service, receipt: &str) -> pb::VerifyReceiptResponse {
    let request = pb::VerifyReceiptRequest { receipt: receipt.to_owned() };
    service.redemptions().verify_receipt(request).await.unwrap().into_inner()
}
