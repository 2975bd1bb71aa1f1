//! `RedemptionService`: redeeming the token that a link carries.

pub(super) mod parse;
pub(super) mod preview;
pub(super) mod send_verification_code;
pub(super) mod verify_email;
mod verify_receipt;

use std::sync::Arc;

use tonic::{Request, Response, Status};

use super::convert::timestamp;
use super::execute::{Api, Call, verify};
use super::parse::violations::Violations;
use super::resource::InvitationName;
use crate::domain::command::{Access, Action, DeclineInvitation, RecordEngagement};
use crate::domain::invitation::EngagementType;
use crate::domain::secret::verification::Code;
use crate::domain::value::email::Email;
use crate::domain::value::rule::{FieldRule, Invalid};
use crate::domain::value::text;
use crate::pb;
use crate::pb::redemption_service_server::RedemptionService;
use crate::store::Requested;
use parse::to_accept;
use preview::{preview, redirect_uri};
use send_verification_code::send_verification_code;
use verify_email::{Try, verify_email};
use verify_receipt::verify_receipt;

/// Serves `RedemptionService`.
#[derive(Debug)]
pub(crate) struct Redemptions(pub(crate) Arc<Api>);

impl Redemptions {
    /// Returns the access by the field `token`. It is the field that is missing where the request has no access.
    fn by_token(&self, violations: &mut Violations, token: &str) -> Option<Access> {
        verify(&self.0.ring, violations, token).map(Access::Link)
    }
}

/// Returns the access by the field `name`.
fn by_name(violations: &mut Violations, name: &str) -> Option<Access> {
    let name = InvitationName::required(violations, "name", name, None)?;
    name.target(None, violations).map(Access::Name)
}

#[tonic::async_trait]
impl RedemptionService for Redemptions {
    async fn send_verification_code(
        &self,
        request: Request<pb::SendVerificationCodeRequest>,
    ) -> Result<Response<pb::SendVerificationCodeResponse>, Status> {
        let (call, message, mut violations) = Call::of(request)?;
        use pb::send_verification_code_request::Access as Given;
        let email = violations.required("email", &message.email, Email::parse);
        let access = match &message.access {
            Some(Given::Name(name)) => by_name(&mut violations, name),
            Some(Given::Token(token)) => self.by_token(&mut violations, token),
            None => self.by_token(&mut violations, ""),
        };
        let client_key = violations.optional("client_key", &message.client_key, text::opaque_id);
        let by_name = matches!(message.access, Some(Given::Name(_)));
        let request = async {
            let (email, access) = violations.finish(email.zip(access))?;
            send_verification_code(&self.0, &call, &access, &email, client_key.as_deref()).await
        };
        let requested = if by_name { request.await? } else { self.0.rates.look_up(&call.caller, request).await? };
        let Requested { expire_at, retry_after } = requested;
        let retry_delay = retry_after.try_into().map_err(|error| self.0.defect(&error))?;
        Ok(Response::new(pb::SendVerificationCodeResponse {
            expire_time: Some(timestamp(expire_at)),
            retry_delay: Some(retry_delay),
        }))
    }

    async fn verify_email(
        &self,
        request: Request<pb::VerifyEmailRequest>,
    ) -> Result<Response<pb::VerifyEmailResponse>, Status> {
        let (call, message, mut violations) = Call::of(request)?;
        use pb::verify_email_request::Access as Given;
        let email = violations.required("email", &message.email, Email::parse);
        let code = violations.required("code", &message.code, Code::parse);
        let access = match &message.access {
            Some(Given::Name(name)) => by_name(&mut violations, name),
            Some(Given::Token(token)) => self.by_token(&mut violations, token),
            None => self.by_token(&mut violations, ""),
        };
        let client_key = violations.optional("client_key", &message.client_key, text::opaque_id);
        let by_name = matches!(message.access, Some(Given::Name(_)));
        let verify = async {
            let ((email, code), access) = violations.finish(email.zip(code).zip(access))?;
            verify_email(&self.0, &call, access, Try { email, code, client_key }).await
        };
        let verified = if by_name { verify.await } else { self.0.rates.look_up(&call.caller, verify).await };
        let (email_proof, proof) = verified?;
        Ok(Response::new(pb::VerifyEmailResponse { email_proof, expire_time: Some(timestamp(proof.expire_at)) }))
    }

    async fn preview_invitation(
        &self,
        request: Request<pb::PreviewInvitationRequest>,
    ) -> Result<Response<pb::InvitationPreview>, Status> {
        let (call, message, mut violations) = Call::of(request)?;
        let look_up = async {
            let link = verify(&self.0.ring, &mut violations, &message.token);
            let link = violations.finish(link)?;
            let reach = self.0.reach(&call).await?;
            let (read, seats) = self.0.find_by_link(&reach, &link).await?;
            let scope_full = seats.is_some_and(|seats| seats.is_full_for(&read.found, read.now));
            let shown = preview(&read.found, &link, call.person(), read.now);
            Ok(Response::new(pb::InvitationPreview { scope_full, ..shown }))
        };
        self.0.rates.look_up(&call.caller, look_up).await
    }

    async fn accept_invitation(
        &self,
        request: Request<pb::AcceptInvitationRequest>,
    ) -> Result<Response<pb::AcceptInvitationResponse>, Status> {
        let (call, message, mut violations) = Call::of(request)?;
        let accept = to_accept(&mut violations, &message, &self.0.ring, (&call.caller.account, call.person()));
        let accept = accept.map(Box::new).map(Action::Accept);
        let accepted = self.0.execute(&call, &message, violations, accept);
        let executed = self.0.rates.look_up(&call.caller, accepted).await?;
        let (acceptance, invitation) = self.0.accepted(&call, &executed);
        Ok(Response::new(pb::AcceptInvitationResponse {
            acceptance,
            invitation: Some(invitation),
            already_accepted: executed.already_accepted,
            redirect_uri: redirect_uri(&executed.invitation),
        }))
    }

    async fn decline_invitation(
        &self,
        request: Request<pb::DeclineInvitationRequest>,
    ) -> Result<Response<pb::Invitation>, Status> {
        let (call, message, mut violations) = Call::of(request)?;
        let reason = violations.remark("reason", &message.reason);
        let access = verify(&self.0.ring, &mut violations, &message.token).map(Access::Link);
        let decline = access.map(|access| Action::Decline(DeclineInvitation { access, addresses: Vec::new(), reason }));
        let declined = self.0.execute(&call, &message, violations, decline);
        let executed = self.0.rates.look_up(&call.caller, declined).await?;
        Ok(Response::new(self.0.accepted(&call, &executed).1))
    }

    async fn record_engagement(
        &self,
        request: Request<pb::RecordEngagementRequest>,
    ) -> Result<Response<pb::RecordEngagementResponse>, Status> {
        let (call, message, mut violations) = Call::of(request)?;
        let engagement = match pb::EngagementType::try_from(message.r#type) {
            Ok(pb::EngagementType::View) => Ok(EngagementType::View),
            Ok(pb::EngagementType::Click) => Ok(EngagementType::Click),
            Ok(pb::EngagementType::Unfurl) => Ok(EngagementType::Unfurl),
            Ok(pb::EngagementType::Unspecified) => Err(Invalid::new(FieldRule::Required, "is required")),
            Err(_) => Err(Invalid::new(FieldRule::UnknownValue, "must be a known type")),
        };
        let engagement = violations.take("type", engagement);
        let source = violations.remark("source", &message.source);
        let link = verify(&self.0.ring, &mut violations, &message.token);
        let record = link
            .zip(engagement)
            .map(|(link, engagement)| Action::RecordEngagement(RecordEngagement { link, engagement, source }));
        let recorded = self.0.execute(&call, &message, violations, record);
        self.0.rates.look_up(&call.caller, recorded).await?;
        Ok(Response::new(pb::RecordEngagementResponse {}))
    }

    async fn verify_receipt(
        &self,
        request: Request<pb::VerifyReceiptRequest>,
    ) -> Result<Response<pb::VerifyReceiptResponse>, Status> {
        let (call, message, mut violations) = Call::of(request)?;
        let receipt = violations.required("receipt", &message.receipt, text::sealed);
        let receipt = violations.finish(receipt)?;
        verify_receipt(&self.0, &call.caller.account, &receipt).map(Response::new)
    }
}
