//! `RedemptionService`: redeeming the token that a link carries.

use std::sync::Arc;

use tonic::{Request, Response, Status};

use super::api::{Api, check_request_id};
use super::call::Call;
use super::convert::acceptance::acceptance;
use super::convert::invitation::invitation;
use super::convert::preview::preview;
use super::parse::acceptor::acceptor;
use super::parse::prefill;
use super::violations::Violations;
use crate::domain::acceptance::Acceptance;
use crate::domain::command::{AcceptInvitation, Action, DeclineInvitation, RecordEngagement, Way};
use crate::domain::group::Executed;
use crate::domain::invitation::EngagementType;
use crate::domain::text::{self, Invalid};
use crate::pb;
use crate::pb::redemption_service_server::RedemptionService;

/// Serves `RedemptionService`.
#[derive(Debug)]
pub struct Redemptions(pub Arc<Api>);

impl Redemptions {
    fn invitation(&self, call: &Call, executed: &Executed, acceptances: &[Acceptance]) -> pb::Invitation {
        let link = self.0.link(call, &executed.invitation);
        invitation(&executed.invitation, acceptances, executed.now, link)
    }
}

/// A token is only looked at, so all that can be wrong with it here is that there is none.
fn require_token(violations: &mut Violations, token: &str) {
    violations.required("token", token, |_| Ok(()));
}

#[tonic::async_trait]
impl RedemptionService for Redemptions {
    async fn preview_invitation(
        &self,
        request: Request<pb::PreviewInvitationRequest>,
    ) -> Result<Response<pb::InvitationPreview>, Status> {
        let (call, message) = Call::of(request)?;
        let mut violations = Violations::default();
        require_token(&mut violations, &message.token);
        violations.finish(Some(()))?;
        let link = self.0.verify(&message.token)?;
        let read = self.0.find(&call, link.invitation, None, false, None).await?;
        read.found.check_link(&link)?;
        Ok(Response::new(preview(&read.found, &link, read.now)))
    }

    async fn accept_invitation(
        &self,
        request: Request<pb::AcceptInvitationRequest>,
    ) -> Result<Response<pb::AcceptInvitationResponse>, Status> {
        let (call, message) = Call::of(request)?;
        let mut violations = Violations::default();
        require_token(&mut violations, &message.token);
        check_request_id(&mut violations, &message.request_id);
        let acceptor = acceptor(&mut violations, message.acceptor.as_ref());
        let given = message.created_connection.as_ref();
        let created_connection = given.and_then(|given| prefill::created_connection(&mut violations, given));
        let guest = message.guest_organization_id.as_deref().unwrap_or_default();
        let guest_organization_id = violations.optional("guest_organization_id", guest, text::uuid);
        let acceptor = violations.finish(acceptor)?;
        let link = self.0.verify(&message.token)?;
        let way = Way::Link(link);
        let accept = AcceptInvitation { way, acceptor, created_connection, guest_organization_id, by_system: false };
        let executed = self.0.execute(&call, &message, Some(&link), Action::Accept(Box::new(accept))).await?;
        let made = executed.acceptance.as_slice();
        Ok(Response::new(pb::AcceptInvitationResponse {
            acceptance: made.first().map(acceptance),
            invitation: Some(self.invitation(&call, &executed, made)),
            already_accepted: executed.already_accepted,
        }))
    }

    async fn decline_invitation(
        &self,
        request: Request<pb::DeclineInvitationRequest>,
    ) -> Result<Response<pb::Invitation>, Status> {
        let (call, message) = Call::of(request)?;
        let mut violations = Violations::default();
        require_token(&mut violations, &message.token);
        check_request_id(&mut violations, &message.request_id);
        let reason = violations.optional("reason", &message.reason, text::free_text);
        let reason = violations.finish(Some(reason))?;
        let link = self.0.verify(&message.token)?;
        let action = Action::Decline(DeclineInvitation { way: Way::Link(link), address: None, reason });
        let executed = self.0.execute(&call, &message, Some(&link), action).await?;
        Ok(Response::new(self.invitation(&call, &executed, &[])))
    }

    async fn record_engagement(
        &self,
        request: Request<pb::RecordEngagementRequest>,
    ) -> Result<Response<pb::RecordEngagementResponse>, Status> {
        let (call, message) = Call::of(request)?;
        let mut violations = Violations::default();
        require_token(&mut violations, &message.token);
        let engagement = match pb::EngagementType::try_from(message.r#type) {
            Ok(pb::EngagementType::View) => Some(EngagementType::View),
            Ok(pb::EngagementType::Click) => Some(EngagementType::Click),
            Ok(pb::EngagementType::Unfurl) => Some(EngagementType::Unfurl),
            Ok(pb::EngagementType::Unspecified) | Err(_) => None,
        };
        let engagement = violations.take("type", engagement.ok_or(Invalid("must be a known type")));
        let source = violations.optional("source", &message.source, text::free_text);
        let engagement = violations.finish(engagement)?;
        let link = self.0.verify(&message.token)?;
        let action = Action::RecordEngagement(RecordEngagement { link, engagement, source });
        self.0.run(&call, None, action).await?;
        Ok(Response::new(pb::RecordEngagementResponse {}))
    }
}
