//! A client that knows HTTP and nothing else.

use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, Method};
use serde_json::Value;
use tokio_rustls::rustls::crypto::ring;

use crate::support::service::Service;

pub(super) const JSON: (&str, &str) = ("content-type", "application/json");
pub(super) const PROTO: (&str, &str) = ("content-type", "application/proto");

/// A client of one version of HTTP.
pub(super) struct Client {
    client: reqwest::Client,
    base: String,
}

/// A whole answer.
#[derive(Debug)]
pub(super) struct Answer {
    pub(super) status: u16,
    pub(super) headers: HeaderMap,
    pub(super) body: Bytes,
}

impl Answer {
    /// Returns the body as JSON.
    #[track_caller]
    pub(super) fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }

    /// Returns a header as text; empty if there is none.
    pub(super) fn header(&self, name: &str) -> &str {
        self.headers.get(name).map(|value| value.to_str().unwrap()).unwrap_or_default()
    }

    /// Asserts that the answer is an error of Connect, and returns its code and its reason.
    #[track_caller]
    pub(super) fn error(&self) -> (u16, String, String) {
        assert_eq!(self.header("content-type"), "application/json", "{self:?}");
        let json = self.json();
        let reason = json["details"][0]["debug"]["reason"].as_str().unwrap_or_default().to_owned();
        (self.status, json["code"].as_str().unwrap().to_owned(), reason)
    }
}

impl Client {
    pub(super) fn http_1(service: &Service) -> Self {
        Self::new(service, reqwest::Client::builder().http1_only())
    }

    pub(super) fn http_2(service: &Service) -> Self {
        Self::new(service, reqwest::Client::builder().http2_prior_knowledge())
    }

    pub(super) fn both(service: &Service) -> [Self; 2] {
        [Self::http_1(service), Self::http_2(service)]
    }

    fn new(service: &Service, builder: reqwest::ClientBuilder) -> Self {
        // An error says that there is one already.
        drop(ring::default_provider().install_default());
        let client = builder.no_proxy().timeout(Duration::from_secs(30)).build().unwrap();
        Self { client, base: format!("http://{}", service.address) }
    }

    /// Begins a request, whose answer is read by the caller.
    pub(super) async fn begin(
        &self,
        method: Method,
        path: &str,
        headers: &[(&str, &str)],
        body: impl Into<reqwest::Body>,
    ) -> reqwest::Response {
        let mut request = self.client.request(method, format!("{}{path}", self.base)).body(body);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        request.send().await.unwrap()
    }

    pub(super) async fn send(
        &self,
        method: Method,
        path: &str,
        headers: &[(&str, &str)],
        body: impl Into<reqwest::Body>,
    ) -> Answer {
        let answer = self.begin(method, path, headers, body).await;
        let (status, headers) = (answer.status().as_u16(), answer.headers().clone());
        Answer { status, headers, body: answer.bytes().await.unwrap() }
    }

    /// Calls a method of this service.
    pub(super) async fn call(&self, method: &str, headers: &[(&str, &str)], body: impl Into<reqwest::Body>) -> Answer {
        self.send(Method::POST, &format!("/invitation.v1.{method}"), headers, body).await
    }

    /// Calls a method in JSON, which has to succeed.
    #[track_caller]
    pub(super) fn json(&self, method: &str, request: &Value) -> impl Future<Output = Value> {
        let called = self.call(method, &[JSON], request.to_string());
        async move {
            let answer = called.await;
            assert_eq!(answer.status, 200, "{}", String::from_utf8_lossy(&answer.body));
            answer.json()
        }
    }

    pub(super) async fn get(&self, path: &str) -> Answer {
        self.send(Method::GET, path, &[], "").await
    }
}
