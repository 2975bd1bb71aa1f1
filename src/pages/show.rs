//! The pages that are shown for the state of an invitation and of a visit.

use std::time::Duration;

use http::StatusCode;
use tonic::Status;
use url::Url;

use super::Pages;
use super::answer::Answer;
use super::calls::{reason_of, wait_of};
use super::steps::Visitor;
use super::view::{FormError, State, View};
use super::visit::{Step, Visit};
use crate::domain::secret::receipt::{Answer as Given, Receipt};
use crate::domain::secret::token::Claims;
use crate::domain::secret::verification::EmailProof;
use crate::domain::value::id::AcceptanceId;
use crate::pb;
use crate::pb::{ErrorReason, InvitationState};

const MINUTE: u64 = 60;

impl Pages {
    /// A page in the language of its visitor, or else of the invitation.
    pub(super) fn page(&self, visitor: &Visitor<'_>, state: State, view: &View) -> Answer {
        let of_invitation = view.preview.as_ref().map(|preview| preview.locale.as_str());
        let locale = self.templates.choose(visitor.languages.iter().map(String::as_str).chain(of_invitation));
        let status = match view.error {
            Some(FormError::TooMany) => StatusCode::TOO_MANY_REQUESTS,
            Some(FormError::EmailInvalid | FormError::CodeInvalid | FormError::EmailNotAllowed) => {
                StatusCode::UNPROCESSABLE_ENTITY
            }
            None => state.status(),
        };
        match self.templates.render(state, view, &self.sender, &locale) {
            Ok(html) => Answer::page(status, html, self.templates.style_hash()).leading_to(&view.next),
            Err(error) => {
                // The text of the library may be a value, so its kind alone is told.
                let (error, file) = (error.kind(), error.name().unwrap_or_default());
                log_event!(error, PAGE_FAILED, file, %error, "a template failed with what an invitation holds");
                Answer::text(StatusCode::INTERNAL_SERVER_ERROR, "")
            }
        }
    }

    /// A page that is about nothing but its state.
    pub(super) fn plain(&self, visitor: &Visitor<'_>, state: State) -> Answer {
        self.page(visitor, state, &View::default())
    }

    /// The page about a refusal that no form could have avoided.
    pub(super) fn failure(&self, visitor: &Visitor<'_>, status: &Status) -> Answer {
        match reason_of(status) {
            // Nothing is told beyond what the preview tells.
            ErrorReason::InvitationNotFound => self.plain(visitor, State::Invalid).with_cookie(Some(&self.no_cookie())),
            ErrorReason::RateLimited | ErrorReason::QuotaExceeded => self.busy(visitor, wait_of(status)),
            _ => self.plain(visitor, State::Unavailable).retry_after(MINUTE),
        }
    }

    /// The page about too many requests.
    pub(super) fn busy(&self, visitor: &Visitor<'_>, wait: Option<Duration>) -> Answer {
        let wait = wait.unwrap_or_default();
        let view = View { wait: minutes(wait), ..View::default() };
        self.page(visitor, State::Busy, &view).retry_after(wait.as_secs() + 1)
    }

    /// Looks an invitation up and shows the page of a visit.
    pub(super) async fn show(
        &self,
        visitor: &Visitor<'_>,
        visit: &Visit,
        error: Option<(FormError, Duration)>,
    ) -> Answer {
        match visitor.calls.preview(&visit.token).await {
            Ok(preview) => self.show_preview(visitor, visit, preview, error).await,
            Err(status) => self.failure(visitor, &status),
        }
    }

    /// Shows the page of a visit to an invitation.
    pub(super) async fn show_preview(
        &self,
        visitor: &Visitor<'_>,
        visit: &Visit,
        preview: pb::InvitationPreview,
        error: Option<(FormError, Duration)>,
    ) -> Answer {
        let (error, wait) = error.unzip();
        let (form, wait) = (visit.form.to_string(), minutes(wait.unwrap_or_default()));
        let forwards = !self.accepts(preview.kind());
        let view = View { error, wait, visit: form, forwards, ..View::default() };
        let (proven, given) = match &visit.step {
            Step::Opened => (preview.recipient_email.clone(), None),
            Step::Asked { email } => (email.clone(), None),
            Step::Proven { email, .. } => (email.clone(), None),
            Step::Accepted { email, .. } => (email.clone(), Some(State::Accepted)),
            Step::Declined => (String::new(), Some(State::Declined)),
            Step::Intended { email, .. } => (email.clone(), Some(State::Intended)),
        };
        let view = View { email: proven, ..view };
        if let Some(state) = given {
            return match self.next(visitor, visit, &preview.redirect_uri).await {
                Ok(next) => self.page(visitor, state, &View { next, preview: Some(preview), ..view }),
                Err(status) => self.failure(visitor, &status),
            };
        }
        let state = match preview.state() {
            InvitationState::Active => match self.leads_nowhere(visitor, &preview).await {
                Ok(true) => State::Elsewhere,
                Ok(false) => open_state(visit, &preview),
                Err(status) => return self.failure(visitor, &status),
            },
            InvitationState::Expired => State::Expired,
            InvitationState::Revoked => State::Revoked,
            InvitationState::Declined => State::Refused,
            InvitationState::Fulfilled => State::Fulfilled,
            InvitationState::Unspecified => State::Unavailable,
        };
        // An address is a person whom the service knows again; a visit is none.
        let is_known = matches!(visit.step, Step::Proven { .. }) || !preview.recipient_email.is_empty();
        let again = state == State::Fulfilled && is_known && !forwards && visitor.may_ask_again;
        self.page(visitor, state, &View { again, preview: Some(preview), ..view })
    }

    /// Returns whether the pages accept invitations of a kind.
    pub(super) fn accepts(&self, kind: pb::InvitationKind) -> bool {
        let name = kind.as_str_name().trim_start_matches("INVITATION_KIND_").to_ascii_lowercase();
        self.config.accept.iter().any(|kind| kind.code() == name)
    }

    /// Returns whether an invitation is accepted elsewhere, and nothing says where.
    async fn leads_nowhere(&self, visitor: &Visitor<'_>, preview: &pb::InvitationPreview) -> Result<bool, Status> {
        if self.accepts(preview.kind()) {
            return Ok(false);
        }
        if preview.redirect_uri.is_empty() {
            return Ok(true);
        }
        let account = visitor.calls.account().await?;
        Ok(!self.may_redirect(&account, &preview.redirect_uri))
    }

    /// Returns the address to go on to after an answer, with its receipt; empty if there is none.
    async fn next(&self, visitor: &Visitor<'_>, visit: &Visit, redirect_uri: &str) -> Result<String, Status> {
        if redirect_uri.is_empty() {
            return Ok(String::new());
        }
        let account = visitor.calls.account().await?;
        let permitted = self.may_redirect(&account, redirect_uri).then(|| Url::parse(redirect_uri).ok()).flatten();
        let (Some(mut url), Some(link)) = (permitted, Claims::verify(&visit.token, &self.ring)) else {
            return Ok(String::new());
        };
        let (answer, email) = match &visit.step {
            Step::Accepted { acceptance, subject, email } => {
                (Given::Accepted { acceptance: AcceptanceId(*acceptance), subject: subject.clone() }, email.as_str())
            }
            Step::Intended { email, proof } => {
                let proof = EmailProof::open(&self.ring, &account, link.invitation, proof);
                (Given::Intended { link, proof }, email.as_str())
            }
            Step::Declined => (Given::Declined, ""),
            Step::Opened | Step::Asked { .. } | Step::Proven { .. } => return Ok(String::new()),
        };
        let email = Some(email.to_owned()).filter(|email| !email.is_empty());
        let expire_at = self.clock.now().later(self.config.receipt_ttl);
        let receipt = Receipt { invitation: link.invitation, answer, email, expire_at };
        let sealed = receipt.seal(&self.ring, &account, self.entropy.bytes()).unwrap_or_default();
        url.query_pairs_mut().append_pair("receipt", &sealed);
        Ok(url.into())
    }
}

/// Returns the page of an invitation that can be answered.
fn open_state(visit: &Visit, preview: &pb::InvitationPreview) -> State {
    match &visit.step {
        _ if preview.scope_full => State::Full,
        Step::Asked { .. } if preview.email_required => State::Code,
        Step::Opened if preview.email_required => State::Email,
        _ => State::Open,
    }
}

fn minutes(wait: Duration) -> u64 {
    wait.as_secs().div_ceil(MINUTE).max(1)
}
