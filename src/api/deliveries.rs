//! `DeliveryService`: messages on their way, and the mail provider's reports about them.

pub(super) mod convert;

use std::sync::Arc;

use tonic::{Request, Response, Status};
use uuid::Uuid;

use super::execute::{Api, Call, note_invitation};
use super::resource::InvitationName;
use super::{page, parse};
use crate::domain::command::{Action, ReportDelivery};
use crate::domain::delivery::DeliveryReport;
use crate::domain::delivery::message_id::MessageId;
use crate::domain::value::rule::{FieldRule, Invalid};
use crate::domain::value::text;
use crate::pb;
use crate::pb::delivery_service_server::DeliveryService;
use crate::server::status;
use crate::store::{Cursor, DeliveryQuery, ReplayQuery};
use convert::delivery;

/// Serves `DeliveryService`.
#[derive(Debug)]
pub(crate) struct Deliveries(pub(crate) Arc<Api>);

#[tonic::async_trait]
impl DeliveryService for Deliveries {
    async fn list_deliveries(
        &self,
        request: Request<pb::ListDeliveriesRequest>,
    ) -> Result<Response<pb::ListDeliveriesResponse>, Status> {
        let (call, message, mut violations) = Call::of(request)?;
        let asked = page::asked(&self.0, &call, &message, "create_time", &mut violations);
        let parent = violations.required("parent", &message.parent, InvitationName::parse);
        let (id, kind) = violations.finish(parent)?.id_and_kind();
        let hosts = self.0.hosts(&call).await?;
        let (size, limit) = (asked.size, asked.limit());
        let query = DeliveryQuery { invitation: id, ascending: asked.ascending, limit, after: asked.after };
        let found = self.0.read(self.0.store.list_deliveries(&call.caller.account, &query)).await?;
        let found = found.filter(|(read, _)| kind.is_none_or(|kind| kind == read.found.details.kind()));
        let found = found.filter(|(read, _)| read.found.details.is_hosted_by(hosts.as_deref()));
        let (invitation, mut rows) = found.ok_or_else(status::not_found)?;
        note_invitation(id);
        let next_page_token = page::next(&self.0, &call, &message, &mut rows, size, Cursor::of_delivery)?;
        let domain = &self.0.mail_domain;
        let deliveries = rows.iter().map(|row| delivery(&invitation.found, row, domain)).collect();
        Ok(Response::new(pb::ListDeliveriesResponse { deliveries, next_page_token }))
    }

    async fn report_delivery_status(
        &self,
        request: Request<pb::ReportDeliveryStatusRequest>,
    ) -> Result<Response<pb::ReportDeliveryStatusResponse>, Status> {
        let (call, message, mut violations) = Call::of(request)?;
        let id = violations.required("message_id", &message.message_id, parse_message_id);
        let report = violations.take("status", parse_report(message.status));
        let detail = violations.optional("detail", &message.detail, text::free_text);
        // A Message-ID that another service created counts as one that does not exist.
        if id == Some(None) {
            violations.refuse(status::delivery_not_found());
        }
        let report = id
            .flatten()
            .zip(report)
            .map(|(delivery, report)| Action::ReportDelivery(ReportDelivery { delivery, report, detail }));
        let executed = self.0.execute(&call, &message, violations, report).await?;
        let reported = executed.delivery.ok_or_else(status::delivery_not_found)?;
        let reported = delivery(&executed.invitation, &reported, &self.0.mail_domain);
        Ok(Response::new(pb::ReportDeliveryStatusResponse { delivery: Some(reported) }))
    }

    async fn replay_deliveries(
        &self,
        request: Request<pb::ReplayDeliveriesRequest>,
    ) -> Result<Response<pb::ReplayDeliveriesResponse>, Status> {
        let (call, message, mut violations) = Call::of(request)?;
        let parent = violations.optional("parent", &message.parent, InvitationName::parse);
        let since = parse::moment(&mut violations, "since", message.since);
        let until = parse::moment(&mut violations, "until", message.until);
        let parent = violations.finish(Some(parent))?;
        let invitation = parent.map(InvitationName::id_and_kind);
        if let Some((id, kind)) = invitation {
            let hosts = self.0.hosts(&call).await?;
            self.0.find(&call, id, kind, false, hosts).await?;
        } else if call.caller.organization_id.is_some() {
            // The account's messages as a whole are beyond the access of one organization.
            return Err(status::organization_access_denied());
        }
        let query = ReplayQuery { invitation: invitation.map(|(id, _)| id), since, until };
        // The call may update a thousand rows, so only its own deadline limits it.
        let once = self.0.write_once(&call, &message);
        let replayed = self.0.store.replay_deliveries(&call.caller.account, &query, &once).await;
        let replayed = self.0.done(replayed)?.ok_or_else(status::request_id_reused)?;
        let replayed_count = i32::try_from(replayed).unwrap_or(i32::MAX);
        Ok(Response::new(pb::ReplayDeliveriesResponse { replayed_count }))
    }
}

/// Parses the message's id out of a Message-ID; `None` for one that this service cannot have created.
fn parse_message_id(value: &str) -> Result<Option<Uuid>, Invalid> {
    text::free_text(value)?;
    Ok(MessageId::parse(value))
}

fn parse_report(report: i32) -> Result<DeliveryReport, Invalid> {
    match pb::DeliveryReport::try_from(report) {
        Ok(pb::DeliveryReport::Delivered) => Ok(DeliveryReport::Delivered),
        Ok(pb::DeliveryReport::Bounced) => Ok(DeliveryReport::Bounced),
        Ok(pb::DeliveryReport::Opened) => Ok(DeliveryReport::Opened),
        Ok(pb::DeliveryReport::Complained) => Ok(DeliveryReport::Complained),
        Ok(pb::DeliveryReport::Unspecified) | Err(_) => {
            Err(Invalid::new(FieldRule::UnknownValue, "must be a known status"))
        }
    }
}
