//! `DeliveryService`: messages on their way, and the mail provider's reports about them.

pub(super) mod convert;

use std::sync::Arc;

use tonic::{Request, Response, Status};
use uuid::Uuid;

use super::convert::count;
use super::execute::{Api, Call, note_invitation};
use super::parse::filter;
use super::parse::invitation_filter::time_range;
use super::parse::page;
use super::parse::violations::Violations;
use super::resource::{Parent, parse_delivery, parse_recipient};
use crate::domain::command::{Action, ReportDelivery};
use crate::domain::delivery::message_id::MessageId;
use crate::domain::delivery::{Delivery, DeliveryReport};
use crate::domain::invitation::Invitation;
use crate::domain::value::email::Email;
use crate::domain::value::rule::{FieldRule, Invalid};
use crate::domain::value::text;
use crate::pb;
use crate::pb::delivery_service_server::DeliveryService;
use crate::server::status;
use crate::store::{AccountDeliveries, Cursor, DeliveryQuery, RedeliveryQuery};

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
        Ok(Response::new(self.delivery(&read.found, &row)))
    }

    async fn list_deliveries(
        &self,
        request: Request<pb::ListDeliveriesRequest>,
    ) -> Result<Response<pb::ListDeliveriesResponse>, Status> {
        let (call, message, mut violations) = Call::of(request)?;
        let asked = page::asked(&self.0, &call, &message, "create_time", &mut violations);
        let parent = violations.required("parent", &message.parent, Parent::parse);
        let states = filter::delivery_states(&mut violations, &message.states);
        let created = time_range(&mut violations, "create_time", message.create_time.as_ref());
        let recipient = parent.and_then(|parent| recipient_of(&mut violations, parent, &message.recipient));
        let parent = violations.finish(parent)?;
        let reach = self.0.reach(&call).await?;
        let (size, context) = (asked.size, (self.0.as_ref(), &call, &message));
        let (deliveries, next_page_token) = match parent {
            Parent::All => {
                let query = AccountDeliveries { states, created, page: asked.account_page() };
                let found = self.0.read_lagging(|reads| reads.list_account_deliveries(&reach, &query)).await?;
                page::show_account(context, &found, size, |row| Ok(self.known(&row.delivery, row.address.as_deref())))?
            }
            Parent::One(name) => {
                let (id, kind) = name.id_and_kind();
                let (ascending, limit) = (asked.ascending, asked.limit());
                let of_invitation = DeliveryQuery { created, recipient, ..DeliveryQuery::of(id, limit) };
                let query = DeliveryQuery { states, ascending, after: asked.after, ..of_invitation };
                let found = self.0.find_lagging(Option::is_some, |reads| reads.list_deliveries(&reach, &query)).await?;
                let found = found.filter(|(read, _)| kind.is_none_or(|kind| kind == read.found.details.kind()));
                let (read, rows) = found.ok_or_else(status::not_found)?;
                note_invitation(id);
                let show = |row: &_| Ok(self.delivery(&read.found, row));
                page::show(context, (&rows, None), size, Cursor::of_delivery, show)?
            }
        };
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
        Ok(Response::new(self.delivery(&executed.invitation, &reported)))
    }

    async fn redeliver_deliveries(
        &self,
        request: Request<pb::RedeliverDeliveriesRequest>,
    ) -> Result<Response<pb::RedeliverDeliveriesResponse>, Status> {
        let (call, message, mut violations) = Call::of(request)?;
        let parent = violations.required("parent", &message.parent, Parent::parse);
        let created = time_range(&mut violations, "create_time", message.create_time.as_ref());
        let invitation = match violations.finish(parent)? {
            Parent::One(name) => Some(name.id_and_kind()),
            Parent::All => None,
        };
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
        let query = RedeliveryQuery { invitation: invitation.map(|(id, _)| id), created, roles: grantable.all() };
        // The call may update a thousand rows, so only its own deadline limits it.
        let once = self.0.write_once(&call, &message);
        let queued = self.0.store.redeliver_deliveries(&reach, &query, &once).await;
        let queued = self.0.done(queued)?.ok_or_else(status::request_id_reused)?;
        Ok(Response::new(pb::RedeliverDeliveriesResponse { redelivered_count: count(queued) }))
    }
}

impl Deliveries {
    /// Shows a message about an invitation.
    fn delivery(&self, invitation: &Invitation, delivery: &Delivery) -> pb::Delivery {
        self.known(delivery, delivery.address(invitation).map(Email::original))
    }

    /// Shows a message to an address.
    fn known(&self, delivery: &Delivery, address: Option<&str>) -> pb::Delivery {
        convert::delivery(delivery, address, &self.0.mail_domain)
    }
}

/// Parses the filter by a recipient, who has to be one of the parent's.
fn recipient_of(violations: &mut Violations, parent: Parent, recipient: &str) -> Option<u16> {
    violations.optional("recipient", recipient, |name| match (parse_recipient(name)?, parent) {
        ((invitation, ordinal), Parent::One(parent)) if invitation == parent.id() => Ok(ordinal),
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
