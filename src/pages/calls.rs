//! The calls of a page: the RPCs of the services, through the boundary, with the credential of the pages and the address of the client.

use std::net::IpAddr;
use std::time::Duration;

use http::Uri;
use secrecy::{ExposeSecret, SecretString};
use tonic::{Request, Status};
use tonic_types::StatusExt as _;
use uuid::Uuid;

use crate::domain::value::text::AccountId;
use crate::pb;
use crate::pb::access_service_client::AccessServiceClient;
use crate::pb::redemption_service_client::RedemptionServiceClient;
use crate::server::boundary::{Boundary, Peer};

/// The place of an act in events, for those who count them.
const SOURCE: &str = "page";
const API_KEY: &str = "x-api-key";

/// The services, as the pages call them.
pub(super) struct Calls {
    boundary: Boundary,
    key: Option<SecretString>,
}

/// The services, as the pages call them for one client.
pub(super) struct CallsOf<'a> {
    calls: &'a Calls,
    boundary: Boundary,
    /// The name by which wrong codes of one client are told from those of others.
    client_key: String,
}

/// The acceptance that a person wants to make.
pub(super) struct Accept {
    pub(super) token: String,
    pub(super) subject: String,
    /// The address that a code has proven, and the proof; both empty if none has.
    pub(super) email: String,
    pub(super) proof: String,
}

impl Calls {
    pub(super) fn new(boundary: Boundary, key: Option<&str>) -> Self {
        Self { boundary, key: key.map(Into::into) }
    }

    /// Returns the services for a client.
    pub(super) fn of(&self, client: IpAddr, client_key: &str) -> CallsOf<'_> {
        let peer = Peer { address: Some(client), ..Peer::default() };
        CallsOf { calls: self, boundary: self.boundary.clone().for_peer(peer), client_key: client_key.to_owned() }
    }
}

impl CallsOf<'_> {
    fn request<T>(&self, message: T) -> Result<Request<T>, Status> {
        let mut request = Request::new(message);
        if let Some(key) = &self.calls.key {
            let key = key.expose_secret().parse().map_err(|_| Status::unauthenticated("the key is none"))?;
            request.metadata_mut().insert(API_KEY, key);
        }
        Ok(request)
    }

    fn redemptions(&self) -> RedemptionServiceClient<Boundary> {
        RedemptionServiceClient::with_origin(self.boundary.clone(), Uri::from_static("http://pages"))
    }

    /// Returns the account of the credential.
    pub(super) async fn account(&self) -> Result<AccountId, Status> {
        let mut access = AccessServiceClient::with_origin(self.boundary.clone(), Uri::from_static("http://pages"));
        let caller = access.get_caller(self.request(pb::GetCallerRequest {})?).await?.into_inner();
        AccountId::parse(&caller.account).map_err(|invalid| Status::internal(invalid.description))
    }

    pub(super) async fn preview(&self, token: &str) -> Result<pb::InvitationPreview, Status> {
        let request = self.request(pb::PreviewInvitationRequest { token: token.to_owned() })?;
        self.redemptions().preview_invitation(request).await.map(tonic::Response::into_inner)
    }

    /// Counts an act with a link, once for each visit.
    pub(super) async fn record(&self, token: &str, act: pb::EngagementType, visit: Option<Uuid>) -> Result<(), Status> {
        let request = self.request(pb::RecordEngagementRequest {
            token: token.to_owned(),
            r#type: act.into(),
            source: SOURCE.to_owned(),
            request_id: visit.map(|visit| visit.to_string()).unwrap_or_default(),
            validate_only: false,
        })?;
        self.redemptions().record_engagement(request).await.map(drop)
    }

    pub(super) async fn send_code(&self, token: &str, email: &str) -> Result<(), Status> {
        let access = Some(pb::send_verification_code_request::Access::Token(token.to_owned()));
        let (email, client_key) = (email.to_owned(), self.client_key.clone());
        let request = self.request(pb::SendVerificationCodeRequest { access, email, client_key })?;
        self.redemptions().send_verification_code(request).await.map(drop)
    }

    /// Exchanges a code for the proof of an address.
    pub(super) async fn verify(&self, token: &str, email: &str, code: &str) -> Result<String, Status> {
        let access = Some(pb::verify_email_request::Access::Token(token.to_owned()));
        let (email, code, client_key) = (email.to_owned(), code.to_owned(), self.client_key.clone());
        let request = self.request(pb::VerifyEmailRequest { access, email, code, client_key })?;
        Ok(self.redemptions().verify_email(request).await?.into_inner().email_proof)
    }

    pub(super) async fn accept(&self, accept: Accept) -> Result<pb::Acceptance, Status> {
        let Accept { token, subject, email, proof: email_proof } = accept;
        let acceptor = Some(pb::Acceptor { subject, email, ..pb::Acceptor::default() });
        let message =
            pb::AcceptInvitationRequest { token, acceptor, email_proof, ..pb::AcceptInvitationRequest::default() };
        let accepted = self.redemptions().accept_invitation(self.request(message)?).await?.into_inner();
        Ok(accepted.acceptance.unwrap_or_default())
    }

    pub(super) async fn decline(&self, token: &str, reason: &str) -> Result<(), Status> {
        let (token, reason) = (token.to_owned(), reason.to_owned());
        let message = pb::DeclineInvitationRequest { token, reason, ..pb::DeclineInvitationRequest::default() };
        self.redemptions().decline_invitation(self.request(message)?).await.map(drop)
    }
}

/// Returns the reason of a refusal.
pub(super) fn reason_of(status: &Status) -> pb::ErrorReason {
    let info = status.get_details_error_info();
    let name = info.map(|info| format!("ERROR_REASON_{}", info.reason)).unwrap_or_default();
    pb::ErrorReason::from_str_name(&name).unwrap_or_default()
}

/// Returns the time to wait that a refusal names.
pub(super) fn wait_of(status: &Status) -> Option<Duration> {
    status.get_details_retry_info().and_then(|info| info.retry_delay)
}
