//! `DeliveryService`: messages on their way, and the mail provider's reports about them.

pub(super) mod convert;

use std::sync::Arc;

use tonic::{Request, Response, Status};
use uuid::Uuid;

use super::convert::count;
use super::execute::{Api, Call, note_invitation};
use super::parse;
use super::parse::filter;
use super::parse::page;
use super::parse::violations::Violations;
use super::resource::{ALL_INVITATIONS, InvitationName, parse_delivery, parse_recipient};
use crate::domain::command::{Action, ReportDelivery};
use crate::domain::delivery::DeliveryReport;
use crate::domain::delivery::message_id::MessageId;
use crate::domain::value::rule::{FieldRule, Invalid};
use crate::domain::value::text;
use crate::pb;
use crate::pb::delivery_service_server::DeliveryService;
use crate::server::status;
use crate::store::{Cursor, DeliveryQuery, RedeliveryQuery, TimeRange};
use convert::delivery;

/// Serves `DeliveryService`.
#[derive(Debug)]
pub(crate) struct Deliveries(pub(crate) Arc<Api>);

#[tonic::async_trait]
impl DeliveryService for Deliveries {
    async fn get_delivery(&self, request: Request<pb::GetDeliveryRequest>) -> Result<Response<pb::Delivery>, Status> {
        let (call, message, mut violations) = Call::of(request)?;
        let name = violations.required("name", &message.name, parse_delivery);
        let (invitation, id) = violations.finish(name)?;
        let reach = self.0.reach(&call).await?;
        let query = DeliveryQuery { id: Some(id), ..DeliveryQuery::of(invitation, 1) };
        let is_found = |found: &Option<(_, Vec<_>)>| found.as_ref().is_some_and(|(_, rows)| !rows.is_empty());
        let found = self.0.find_lagging(is_found, |reads| reads.list_deliveries(&reach, &query)).await?;
        let found = found.and_then(|(read, mut rows)| Some((read, rows.pop()?)));
        let (read, row) = found.ok_or_else(|| status::named_delivery_not_found(&message.name))?;
        note_invitation(invitation);
        Ok(Response::new(delivery(&read.found, &row, &self.0.mail_domain)))
    }

    async fn list_deliveries(
        &self,
        request: Request<pb::ListDeliveriesRequest>,
    ) -> Result<Response<pb::ListDeliveriesResponse>, Status> {
        let (call, message, mut violations) = Call::of(request)?;
        let asked = page::asked(&self.0, &call, &message, "create_time", &mut violations);
        let parent = violations.required("parent", &message.parent, InvitationName::parse);
        let states = filter::delivery_states(&mut violations, &message.states);
        let recipient = parent.and_then(|parent| recipient_of(&mut violations, parent, &message.recipient));
        let (id, kind) = violations.finish(parent)?.id_and_kind();
        let reach = self.0.reach(&call).await?;
        let (size, ascending, limit) = (asked.size, asked.ascending, asked.limit());
        let query = DeliveryQuery { states, recipient, ascending, after: asked.after, ..DeliveryQuery::of(id, limit) };
        let found = self.0.find_lagging(Option::is_some, |reads| reads.list_deliveries(&reach, &query)).await?;
        let found = found.filter(|(read, _)| kind.is_none_or(|kind| kind == read.found.details.kind()));
        let (invitation, rows) = found.ok_or_else(status::not_found)?;
        note_invitation(id);
        let (context, domain) = ((self.0.as_ref(), &call, &message), &self.0.mail_domain);
        let show = |row: &_| Ok(delivery(&invitation.found, row, domain));
        let (deliveries, next_page_token) = page::show(context, (&rows, None), size, Cursor::of_delivery, show)?;
        Ok(Response::new(pb::ListDeliveriesResponse { deliveries, next_page_token }))
    }

    async fn report_delivery_status(
        &self,
        request: Request<pb::ReportDeliveryStatusRequest>,
    ) -> Result<Response<pb::Delivery>, Status> {
        let (call, message, mut violations) = Call::of(request)?;
        let id = violations.required("message_id", &message.message_id, parse_message_id);
        let report = violations.take("report", parse_report(message.report));
        let detail = Some(text::noted(&message.detail)).filter(|detail| !detail.is_empty());
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
        Ok(Response::new(delivery(&executed.invitation, &reported, &self.0.mail_domain)))
    }

    async fn redeliver_deliveries(
        &self,
        request: Request<pb::RedeliverDeliveriesRequest>,
    ) -> Result<Response<pb::RedeliverDeliveriesResponse>, Status> {
        let (call, message, mut violations) = Call::of(request)?;
        let parent = violations.required("parent", &message.parent, |name| match name {
            ALL_INVITATIONS => Ok(None),
            name => InvitationName::parse(name).map(|name| Some(name.id_and_kind())),
        });
        let TimeRange { start, end } = parse::span(&mut violations, "", message.start_time, message.end_time);
        let invitation = violations.finish(parent)?;
        let reach = self.0.reach(&call).await?;
        // A link is not sent again by those who may not give what it gives, as by a resend.
        let grantable = self.0.grantable_roles(&call.caller);
        if let Some((id, kind)) = invitation {
            let found = self.0.find(&reach, id, kind, false).await?.found;
            if let Some(role) = grantable.excess(found.details.roles()) {
                return Err(status::role_not_grantable(role));
            }
        } else if call.caller.organization_id.is_some() {
            // The account's messages as a whole are beyond the access of one organization.
            return Err(status::organization_access_denied());
        }
        let query = RedeliveryQuery { invitation: invitation.map(|(id, _)| id), start, end, roles: grantable.all() };
        // The call may update a thousand rows, so only its own deadline limits it.
        let once = self.0.write_once(&call, &message);
        let queued = self.0.store.redeliver_deliveries(&reach, &query, &once).await;
        let queued = self.0.done(queued)?.ok_or_else(status::request_id_reused)?;
        Ok(Response::new(pb::RedeliverDeliveriesResponse { redelivered_count: count(queued) }))
    }
}

/// Parses the filter by a recipient, who has to be one of the parent's.
fn recipient_of(violations: &mut Violations, parent: InvitationName, recipient: &str) -> Option<u16> {
    violations.optional("recipient", recipient, |name| match parse_recipient(name)? {
        (invitation, ordinal) if invitation == parent.id() => Ok(ordinal),
        _ => Err(Invalid::new(FieldRule::Conflicts, "must be a recipient of the parent")),
    })
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
            Err(Invalid::new(FieldRule::UnknownValue, "must be a known report"))
        }
    }
}
