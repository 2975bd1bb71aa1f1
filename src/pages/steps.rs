//! The steps of a visit: from the link to the answer. Each is one request.

use std::net::IpAddr;
use std::time::Duration;

use http::header::{ACCEPT_LANGUAGE, USER_AGENT};
use http::{HeaderMap, Method, Request, Response, StatusCode};
use hyper::body::Incoming;
use tokio::time::Instant;
use tonic::Status;
use tonic::body::Body;
use uuid::Uuid;

use super::answer::Answer;
use super::calls::{Accept, CallsOf, reason_of, wait_of};
use super::form::Form;
use super::view::{FormError, State, View};
use super::visit::{Step, Visit};
use super::{Pages, client, guard, visitor};
use crate::config::TOKEN_PLACEHOLDER;
use crate::domain::secret::token::Claims;
use crate::domain::value::email::Email;
use crate::domain::value::text;
use crate::pb::{EngagementType, ErrorReason};

const PAGE: &str = "/i";
const GET: &str = "GET, HEAD";
const POST: &str = "POST";

/// The sender of a request, as the request describes them.
pub(super) struct Visitor<'a> {
    pub(super) headers: &'a HeaderMap,
    pub(super) calls: CallsOf<'a>,
    pub(super) languages: Vec<String>,
    pub(super) is_program: bool,
    /// Whether a page may offer to accept what was used up: not if that was just refused.
    pub(super) may_ask_again: bool,
}

/// The pages by their paths.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Path<'a> {
    /// The link, with its token.
    Link(&'a str),
    /// The page of a visit.
    Page,
    SendCode,
    Verify,
    OtherEmail,
    Accept,
    Decline,
    Robots,
    Unknown,
}

impl<'a> Path<'a> {
    fn of(path: &'a str) -> Self {
        match path {
            PAGE => Self::Page,
            "/i/code" => Self::SendCode,
            "/i/verify" => Self::Verify,
            "/i/email" => Self::OtherEmail,
            "/i/accept" => Self::Accept,
            "/i/decline" => Self::Decline,
            "/robots.txt" => Self::Robots,
            _ => path.strip_prefix("/i/").filter(|token| !token.contains('/')).map_or(Self::Unknown, Self::Link),
        }
    }

    /// Returns the name in the log, which has no token.
    fn name(self) -> &'static str {
        match self {
            Self::Link(_) => "link",
            Self::Page => "page",
            Self::SendCode => "code",
            Self::Verify => "verify",
            Self::OtherEmail => "email",
            Self::Accept => "accept",
            Self::Decline => "decline",
            Self::Robots => "robots",
            Self::Unknown => "unknown",
        }
    }

    fn methods(self) -> &'static str {
        match self {
            Self::Link(_) | Self::Page | Self::Robots | Self::Unknown => GET,
            Self::SendCode | Self::Verify | Self::OtherEmail | Self::Accept | Self::Decline => POST,
        }
    }
}

impl Pages {
    /// Answers a request of a connection, and logs it.
    pub(super) async fn answer(&self, request: Request<Incoming>, peer: IpAddr) -> Response<Body> {
        // A stop waits for the answer, as for that of a call.
        let _token = self.in_flight.enter();
        let started = Instant::now();
        let (parts, body) = request.into_parts();
        let client = client::address(peer, &parts.headers, &self.config.trusted_proxies);
        let limited_as = client::limited_as(client);
        let text = |name| parts.headers.get(name).and_then(|value| value.to_str().ok());
        let visitor = Visitor {
            headers: &parts.headers,
            calls: self.calls.of(client, &limited_as),
            languages: visitor::languages(text(ACCEPT_LANGUAGE).unwrap_or_default()),
            is_program: visitor::is_program(text(USER_AGENT)),
            may_ask_again: true,
        };
        let path = Path::of(parts.uri.path());
        let limited = self.rate.as_ref().map_or(Ok(()), |rate| rate.take(&limited_as, 1));
        let answer = match limited {
            Ok(()) => self.dispatch(visitor, &parts.method, path, body).await,
            Err(status) => self.busy(&visitor, wait_of(&status)),
        };
        log(path.name(), &answer, started.elapsed(), client);
        answer.into_response()
    }

    async fn dispatch(&self, visitor: Visitor<'_>, method: &Method, path: Path<'_>, body: Incoming) -> Answer {
        let allowed = path.methods();
        match (path, method) {
            (Path::Unknown, _) => self.plain(&visitor, State::Unknown),
            // Nothing is looked up, counted or begun for headers alone.
            (_, &Method::HEAD) if allowed == GET => {
                Answer::page(StatusCode::OK, String::new(), self.templates.style_hash()).without_body()
            }
            (Path::Link(token), &Method::GET) => self.open(&visitor, token).await,
            (Path::Page, &Method::GET) => self.page_of_visit(&visitor).await,
            (Path::Robots, &Method::GET) => Answer::text(StatusCode::OK, "User-agent: *\nDisallow: /\n"),
            (_, &Method::POST) if allowed == POST => self.take_form(visitor, path, body).await,
            _ => Answer::text(StatusCode::METHOD_NOT_ALLOWED, "").allowing(allowed),
        }
    }

    /// Opens a link: shows a program its preview, and takes the token of a person out of the address.
    async fn open(&self, visitor: &Visitor<'_>, token: &str) -> Answer {
        // A forged token ends here, as it does in the services, which would count it against the credential of all visitors.
        if Claims::verify(token, &self.ring).is_none() {
            return self.plain(visitor, State::Invalid).without_referrer();
        }
        if visitor.is_program {
            return self.unfurl(visitor, token).await.without_referrer();
        }
        if let Some(redirect) = &self.config.redirect {
            // The configured page counts the view when it is seen. A count that fails keeps nobody out.
            drop(visitor.calls.record(token, EngagementType::Click, None).await);
            return Answer::see_other(&redirect.replace(TOKEN_PLACEHOLDER, token));
        }
        let known = self.visit_of(visitor.headers).filter(|visit| visit.token == token);
        let visit = known.unwrap_or_else(|| self.begin_visit(token));
        Answer::see_other(PAGE).with_cookie(self.cookie(&visit).as_deref())
    }

    async fn unfurl(&self, visitor: &Visitor<'_>, token: &str) -> Answer {
        match visitor.calls.preview(token).await {
            Ok(preview) => {
                drop(visitor.calls.record(token, EngagementType::Unfurl, None).await);
                self.page(visitor, State::Unfurl, &View { preview: Some(preview), ..View::default() })
            }
            Err(status) => self.failure(visitor, &status),
        }
    }

    async fn page_of_visit(&self, visitor: &Visitor<'_>) -> Answer {
        let Some(visit) = self.visit_of(visitor.headers) else { return self.plain(visitor, State::NoVisit) };
        if matches!(visit.step, Step::Opened) {
            drop(visitor.calls.record(&visit.token, EngagementType::View, Some(visit.id)).await);
        }
        self.show(visitor, &visit, None).await
    }

    /// Takes a form of a visit.
    async fn take_form(&self, visitor: Visitor<'_>, path: Path<'_>, body: Incoming) -> Answer {
        if !guard::is_same_origin(visitor.headers, &self.config) {
            return self.plain(&visitor, State::Foreign);
        }
        let form = match Form::read(visitor.headers, body).await {
            Ok(form) => form,
            Err(status) => return Answer::text(status, ""),
        };
        let Some(visit) = self.visit_of(visitor.headers) else { return self.plain(&visitor, State::NoVisit) };
        if !visit.has_form(&form.visit) {
            return self.plain(&visitor, State::Foreign);
        }
        match path {
            Path::SendCode => self.send_code(&visitor, &visit, &form.email).await,
            Path::Verify => self.verify(&visitor, &visit, &form.code).await,
            Path::OtherEmail => self.advance(&visit, Step::Opened),
            Path::Accept => self.accept(visitor, &visit).await,
            Path::Decline => self.decline(&visitor, &visit, &form.reason).await,
            Path::Link(_) | Path::Page | Path::Robots | Path::Unknown => self.plain(&visitor, State::Unknown),
        }
    }

    /// Takes the visit to its next step, which the browser gets with GET: it can be loaded again without sending a form again.
    fn advance(&self, visit: &Visit, step: Step) -> Answer {
        Answer::see_other(PAGE).with_cookie(self.cookie(&visit.at(step)).as_deref())
    }

    async fn send_code(&self, visitor: &Visitor<'_>, visit: &Visit, email: &str) -> Answer {
        let Ok(email) = Email::parse(email) else {
            return self.show(visitor, &visit.at(Step::Opened), invalid(FormError::EmailInvalid)).await;
        };
        match visitor.calls.send_code(&visit.token, email.original()).await {
            Ok(()) => self.advance(visit, Step::Asked { email: email.original().to_owned() }),
            Err(status) => self.refused(visitor, visit, &status).await,
        }
    }

    async fn verify(&self, visitor: &Visitor<'_>, visit: &Visit, code: &str) -> Answer {
        let Step::Asked { email } = &visit.step else { return Answer::see_other(PAGE) };
        match visitor.calls.verify(&visit.token, email, code).await {
            Ok(proof) => self.advance(visit, Step::Proven { email: email.clone(), proof }),
            Err(status) => self.refused(visitor, visit, &status).await,
        }
    }

    async fn accept(&self, visitor: Visitor<'_>, visit: &Visit) -> Answer {
        let preview = match visitor.calls.preview(&visit.token).await {
            Ok(preview) => preview,
            Err(status) => return self.failure(&visitor, &status),
        };
        let (email, proof) = match &visit.step {
            Step::Opened if !preview.email_required => (preview.recipient_email.clone(), String::new()),
            Step::Proven { email, proof } => (email.clone(), proof.clone()),
            // Another window of the browser has gone on, or the address is not proven yet.
            _ => return Answer::see_other(PAGE),
        };
        if !self.accepts(preview.kind()) {
            return self.advance(visit, Step::Intended { email, proof });
        }
        let subject = subject(&email, visit.id);
        let given = if proof.is_empty() { String::new() } else { email };
        let accept = Accept { token: visit.token.clone(), subject: subject.clone(), email: given, proof };
        match visitor.calls.accept(accept).await {
            Ok(accepted) => {
                let acceptance = accepted.name.rsplit('/').next().and_then(|id| Uuid::try_parse(id).ok());
                let acceptance = acceptance.unwrap_or_default();
                self.advance(visit, Step::Accepted { acceptance, subject, email: accepted.email })
            }
            Err(status) => {
                let visitor = Visitor { may_ask_again: false, ..visitor };
                self.refused(&visitor, visit, &status).await
            }
        }
    }

    async fn decline(&self, visitor: &Visitor<'_>, visit: &Visit, reason: &str) -> Answer {
        match visitor.calls.decline(&visit.token, &text::noted(reason)).await {
            Ok(()) => self.advance(visit, Step::Declined),
            Err(status) => self.refused(visitor, visit, &status).await,
        }
    }

    /// Shows the page again after a refusal: with what was wrong with its form, or with the state that the invitation has got meanwhile.
    async fn refused(&self, visitor: &Visitor<'_>, visit: &Visit, status: &Status) -> Answer {
        match reason_of(status) {
            ErrorReason::VerificationCodeInvalid => self.show(visitor, visit, invalid(FormError::CodeInvalid)).await,
            // The only field that the services check by its form, once the address has been parsed, is the code.
            ErrorReason::InvalidField if matches!(visit.step, Step::Asked { .. }) => {
                self.show(visitor, visit, invalid(FormError::CodeInvalid)).await
            }
            ErrorReason::RateLimited => {
                let error = Some((FormError::TooMany, wait_of(status).unwrap_or_default()));
                self.show(visitor, visit, error).await
            }
            ErrorReason::EmailNotAllowed | ErrorReason::EmailNotVerified | ErrorReason::EmailProofUsed => {
                self.show(visitor, &visit.at(Step::Opened), invalid(FormError::EmailNotAllowed)).await
            }
            ErrorReason::InvitationExpired
            | ErrorReason::InvitationRevoked
            | ErrorReason::InvitationDeclined
            | ErrorReason::InvitationFulfilled
            | ErrorReason::ScopeFull
            | ErrorReason::NotDeclinable
            | ErrorReason::RecipientUnknown => self.show(visitor, visit, None).await,
            _ => self.failure(visitor, status),
        }
    }
}

fn invalid(error: FormError) -> Option<(FormError, Duration)> {
    Some((error, Duration::ZERO))
}

/// Returns the subject of an acceptance: the proven address, by which a person is the same in every visit, else the visit.
fn subject(email: &str, visit: Uuid) -> String {
    let by_email = Email::parse(email).ok().map(|email| format!("email:{}", email.key()));
    by_email.filter(|subject| text::opaque_id(subject).is_ok()).unwrap_or_else(|| format!("page:{visit}"))
}

fn log(page: &'static str, answer: &Answer, duration: Duration, client: IpAddr) {
    let (http_status, peer) = (answer.status().as_u16(), tracing::field::display(client));
    // Whole microseconds, as for calls.
    let duration_ms = duration.as_micros() as f64 / 1_000.0;
    if answer.status().is_server_error() {
        log_event!(warn, PAGE_ANSWERED, page, http_status, duration_ms, peer, "answered a request for a page");
    } else {
        log_event!(info, PAGE_ANSWERED, page, http_status, duration_ms, peer, "answered a request for a page");
    }
}
