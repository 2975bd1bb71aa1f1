//! `RedemptionService`: redeeming the token that a link carries.

pub(super) mod preview;
pub(super) mod send_verification_code;
pub(super) mod verify_email;

use std::sync::Arc;

use tonic::{Request, Response, Status};

use super::connection::prefill;
use super::convert::timestamp;
use super::execute::{Api, Call};
use super::parse::acceptor::acceptor;
use crate::domain::command::{AcceptInvitation, Access, Action, DeclineInvitation, RecordEngagement};
use crate::domain::invitation::EngagementType;
use crate::domain::secret::verification::{Code, EmailProof};
use crate::domain::value::email::Email;
use crate::domain::value::rule::{FieldRule, Invalid};
use crate::domain::value::text;
use crate::pb;
use crate::pb::redemption_service_server::RedemptionService;
use preview::preview;
use send_verification_code::send_verification_code;
use verify_email::verify_email;

/// Serves `RedemptionService`.
#[derive(Debug)]
pub(crate) struct Redemptions(pub(crate) Arc<Api>);

#[tonic::async_trait]
impl RedemptionService for Redemptions {
    async fn send_verification_code(
        &self,
        request: Request<pb::SendVerificationCodeRequest>,
    ) -> Result<Response<pb::SendVerificationCodeResponse>, Status> {
        let (call, message, mut violations) = Call::of(request)?;
        let email = violations.required("email", &message.email, Email::parse);
        let link = self.0.verify(&mut violations, &message.token);
        let (email, link) = violations.finish(email.zip(link))?;
        send_verification_code(&self.0, &call, &link, &email).await?;
        Ok(Response::new(pb::SendVerificationCodeResponse {}))
    }

    async fn verify_email(
        &self,
        request: Request<pb::VerifyEmailRequest>,
    ) -> Result<Response<pb::VerifyEmailResponse>, Status> {
        let (call, message, mut violations) = Call::of(request)?;
        let email = violations.required("email", &message.email, Email::parse);
        let code = violations.required("code", &message.code, Code::parse);
        let link = self.0.verify(&mut violations, &message.token);
        let ((email, code), link) = violations.finish(email.zip(code).zip(link))?;
        let (email_proof, proof) = verify_email(&self.0, &call, link, email, code).await?;
        Ok(Response::new(pb::VerifyEmailResponse { email_proof, expire_time: Some(timestamp(proof.expire_at)) }))
    }

    async fn preview_invitation(
        &self,
        request: Request<pb::PreviewInvitationRequest>,
    ) -> Result<Response<pb::InvitationPreview>, Status> {
        let (call, message, mut violations) = Call::of(request)?;
        let link = self.0.verify(&mut violations, &message.token);
        let link = violations.finish(link)?;
        let read = self.0.find(&call, link.invitation, None, false, self.0.hosts(&call).await?).await?;
        read.found.check_link(&link)?;
        Ok(Response::new(preview(&read.found, &link, read.now)))
    }

    async fn accept_invitation(
        &self,
        request: Request<pb::AcceptInvitationRequest>,
    ) -> Result<Response<pb::AcceptInvitationResponse>, Status> {
        let (call, message, mut violations) = Call::of(request)?;
        let acceptor = acceptor(&mut violations, message.acceptor.as_ref());
        let given = message.created_connection.as_ref();
        let created_connection = given.and_then(|given| prefill::created_connection(&mut violations, given));
        let guest = message.guest_organization_id.as_deref().unwrap_or_default();
        let guest_organization_id = violations.optional("guest_organization_id", guest, text::uuid);
        let proof = violations.optional("email_proof", &message.email_proof, text::sealed).unwrap_or_default();
        let link = self.0.verify(&mut violations, &message.token);
        let accept = acceptor.zip(link).map(|(acceptor, link)| {
            Action::Accept(Box::new(AcceptInvitation {
                access: Access::Link(link),
                acceptor,
                proof: EmailProof::open(&self.0.ring, &call.caller.account, link.invitation, &proof),
                created_connection,
                guest_organization_id,
                by_system: false,
            }))
        });
        let executed = self.0.execute(&call, &message, violations, accept).await?;
        let (acceptance, invitation) = self.0.accepted(&call, &executed);
        Ok(Response::new(pb::AcceptInvitationResponse {
            acceptance,
            invitation: Some(invitation),
            already_accepted: executed.already_accepted,
        }))
    }

    async fn decline_invitation(
        &self,
        request: Request<pb::DeclineInvitationRequest>,
    ) -> Result<Response<pb::Invitation>, Status> {
        let (call, message, mut violations) = Call::of(request)?;
        let reason = violations.optional("reason", &message.reason, text::free_text);
        let access = self.0.verify(&mut violations, &message.token).map(Access::Link);
        let decline = access.map(|access| Action::Decline(DeclineInvitation { access, address: None, reason }));
        let executed = self.0.execute(&call, &message, violations, decline).await?;
        Ok(Response::new(self.0.accepted(&call, &executed).1))
    }

    async fn record_engagement(
        &self,
        request: Request<pb::RecordEngagementRequest>,
    ) -> Result<Response<pb::RecordEngagementResponse>, Status> {
        let (call, message, mut violations) = Call::of(request)?;
        let engagement = match pb::EngagementType::try_from(message.r#type) {
            Ok(pb::EngagementType::View) => Some(EngagementType::View),
            Ok(pb::EngagementType::Click) => Some(EngagementType::Click),
            Ok(pb::EngagementType::Unfurl) => Some(EngagementType::Unfurl),
            Ok(pb::EngagementType::Unspecified) | Err(_) => None,
        };
        let engagement =
            violations.take("type", engagement.ok_or(Invalid::new(FieldRule::UnknownValue, "must be a known type")));
        let source = violations.optional("source", &message.source, text::free_text);
        let link = self.0.verify(&mut violations, &message.token);
        let record = link
            .zip(engagement)
            .map(|(link, engagement)| Action::RecordEngagement(RecordEngagement { link, engagement, source }));
        self.0.execute(&call, &message, violations, record).await?;
        Ok(Response::new(pb::RecordEngagementResponse {}))
    }
}
