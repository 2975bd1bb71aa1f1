//! The pages of `invitation-service dev`, for whoever tries the service on their own machine: the invitations with what happened to them,
//! and the mail that was caught. They call the service as any client does, and are served to the machine itself alone.

mod answer;
mod listener;
mod mailbox;
mod overview;

use std::fmt;
use std::net::SocketAddr;
use std::path::PathBuf;

use http::{Method, Request, StatusCode};
use minijinja::value::Serde;
use minijinja::{AutoEscape, Environment, Value};
use tonic::body::Body;
use tonic::transport::{Channel, Endpoint};

use crate::server::faces::host::is_local;
use answer::Answer;
pub(crate) use listener::serve;
use mailbox::Mailbox;
use overview::Overview;

const STYLE: &str = include_str!("dev/templates/style.css");
const TEMPLATES: [(&str, &str); 4] = [
    ("layout.jinja", include_str!("dev/templates/layout.jinja")),
    ("overview.jinja", include_str!("dev/templates/overview.jinja")),
    ("mailbox.jinja", include_str!("dev/templates/mailbox.jinja")),
    ("message.jinja", include_str!("dev/templates/message.jinja")),
];
/// The paths of the pages.
pub(crate) const OVERVIEW: &str = "/dev";
pub(crate) const MAILBOX: &str = "/dev/mail";

/// The pages.
pub(crate) struct DevPages {
    mailbox: Mailbox,
    overview: Overview,
    environment: Environment<'static>,
}

impl fmt::Debug for DevPages {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("DevPages")
    }
}

impl DevPages {
    /// Creates the pages of the service at an address, whose mail is caught in a folder.
    ///
    /// # Errors
    /// An address that is none of a URL, or a template that is none.
    pub(crate) fn new(address: SocketAddr, mail: PathBuf) -> Result<Self, Box<dyn std::error::Error + Send + Sync>> {
        let channel: Channel = Endpoint::from_shared(format!("http://{address}"))?.connect_lazy();
        let mut environment = Environment::new();
        environment.set_auto_escape_callback(|_| AutoEscape::Html);
        for (name, template) in TEMPLATES {
            environment.add_template(name, template)?;
        }
        Ok(Self { mailbox: Mailbox::new(mail), overview: Overview::new(channel), environment })
    }

    /// Answers a request.
    async fn answer<B>(&self, request: Request<B>) -> http::Response<Body> {
        if !is_local(&request) {
            return Answer::text(StatusCode::MISDIRECTED_REQUEST, "these pages are for localhost and addresses alone")
                .into_response();
        }
        if !matches!(*request.method(), Method::GET | Method::HEAD) {
            return Answer::text(StatusCode::METHOD_NOT_ALLOWED, "these pages are only read").into_response();
        }
        let found = match request.uri().path() {
            "/" => Ok(Answer::see_other(OVERVIEW)),
            "/dev/style.css" => Ok(Answer::style(STYLE)),
            OVERVIEW => match self.overview.read().await {
                Ok(view) => self.page("overview.jinja", &view),
                Err(status) => Ok(Answer::text(StatusCode::BAD_GATEWAY, status.message())),
            },
            MAILBOX => self.page("mailbox.jinja", &self.mailbox.list().await),
            path => self.message(path).await,
        };
        let answer = found.unwrap_or_else(|error| Answer::text(StatusCode::INTERNAL_SERVER_ERROR, &error.to_string()));
        answer.into_response()
    }

    /// Answers with a message, or with its HTML alone, which nothing in it can leave.
    async fn message(&self, path: &str) -> Result<Answer, minijinja::Error> {
        let rest = path.strip_prefix(MAILBOX).and_then(|rest| rest.strip_prefix('/'));
        let (id, is_html) = match rest.map(|rest| rest.strip_suffix("/html").map_or((rest, false), |id| (id, true))) {
            Some(named) => named,
            None => return Ok(not_found()),
        };
        match self.mailbox.read(id).await {
            None => Ok(not_found()),
            Some(message) if is_html => Ok(Answer::mail(message.html)),
            Some(message) => self.page("message.jinja", &message),
        }
    }

    fn page(&self, template: &str, view: &impl serde::Serialize) -> Result<Answer, minijinja::Error> {
        let html = self.environment.get_template(template)?.render(Value::from(Serde(view)))?;
        Ok(Answer::page(html))
    }
}

fn not_found() -> Answer {
    Answer::text(StatusCode::NOT_FOUND, "there is no such page")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(crate = "crate::limit")]
    async fn every_template_shows_what_it_is_given() {
        let folder = tempfile::tempdir().unwrap();
        let pages = DevPages::new(([127, 0, 0, 1], 1).into(), folder.path().to_owned()).unwrap();
        let html = "<p>\"hello\"</p>";
        for name in ["overview.jinja", "mailbox.jinja", "message.jinja"] {
            let row = serde_json::json!({
                "id": "one", "name": html, "subject": html, "from": html, "to": html, "date": html, "text": html, "html": html,
                "kind": html, "state": html, "scope": html, "link": html, "recipients": [{"value": html, "state": html}],
                "timeline": [{"time": html, "text": html}],
            });
            let view = serde_json::json!({"invitations": [row], "messages": [row], "subject": html, "text": html, "has_html": true, "id": "one"});
            let shown = pages.environment.get_template(name).unwrap().render(Value::from(Serde(&view))).unwrap();
            assert!(!shown.contains("<p>\"hello") && shown.contains("&lt;p&gt;"), "{name}: {shown}");
        }
    }
}
