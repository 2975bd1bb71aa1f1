//! `SuppressionService`: the addresses that nothing is sent to. A suppression counts for the whole account, so a credential that is bound
//! to an organization may call none of its RPCs.

use std::sync::Arc;

use tonic::{Request, Response, Status};
use uuid::Uuid;

use super::convert::timestamp;
use super::execute::{Api, Call};
use super::parse::page;
use super::parse::violations::Violations;
use super::resource::{delivery_name, parse_suppression, suppression_name};
use crate::domain::suppression::{Suppression, SuppressionReason, keys_of};
use crate::domain::value::email::Email;
use crate::domain::value::id::IdSeed;
use crate::domain::value::rule::{FieldRule, Invalid};
use crate::domain::value::text;
use crate::pb;
use crate::pb::suppression_service_server::SuppressionService;
use crate::server::status;
use crate::store::{Cursor, SuppressionCreated, SuppressionQuery, SuppressionRefusal};

/// Serves `SuppressionService`.
#[derive(Debug)]
pub(crate) struct Suppressions(pub(crate) Arc<Api>);

#[tonic::async_trait]
impl SuppressionService for Suppressions {
    async fn create_suppression(
        &self,
        request: Request<pb::CreateSuppressionRequest>,
    ) -> Result<Response<pb::Suppression>, Status> {
        let (call, message, mut violations) = Call::of(request)?;
        let given = to_create(&mut violations, message.suppression.as_ref());
        let (email, reason) = violations.finish(given)?;
        let (account, now) = (&call.caller.account, self.0.clock.now());
        let seed = IdSeed::new(now, self.0.entropy.bytes());
        let (id, event_id) = (seed.nth(1), seed.nth(2));
        let suppression = Suppression {
            id,
            key: email.key().to_owned(),
            masked: email.masked(),
            reason,
            source: None,
            creator: call.caller.name.clone(),
            created_at: now,
        };
        let (once, keys) = (self.0.write_once(&call, &message), keys_of(&self.0.ring, account, email.key()));
        let created =
            self.0.read(self.0.store.create_suppression(account, (&suppression, event_id, &keys), &once)).await?;
        let dry_run = |shown| pb::Suppression { etag: String::new(), ..shown };
        Ok(Response::new(match created {
            SuppressionCreated::Created if message.validate_only => {
                pb::Suppression { name: String::new(), uid: String::new(), ..dry_run(convert(&suppression)) }
            }
            SuppressionCreated::Replayed(known) if message.validate_only => dry_run(convert(&known)),
            SuppressionCreated::Created => convert(&suppression),
            SuppressionCreated::Replayed(known) => convert(&known),
            SuppressionCreated::Deleted(id) => return Err(status::suppression_not_found(&suppression_name(id))),
            SuppressionCreated::AlreadyExists(id) => return Err(status::suppression_exists(&suppression_name(id))),
            SuppressionCreated::RequestIdReused => return Err(status::request_id_reused()),
        }))
    }

    async fn get_suppression(
        &self,
        request: Request<pb::GetSuppressionRequest>,
    ) -> Result<Response<pb::Suppression>, Status> {
        let (call, message, mut violations) = Call::of(request)?;
        let id = violations.required("name", &message.name, parse_suppression);
        let id = violations.finish(id)?;
        let account = &call.caller.account;
        let found = self.0.find_lagging(Option::is_some, |reads| reads.get_suppression(account, id)).await?;
        let found = found.ok_or_else(|| status::suppression_not_found(&message.name))?;
        Ok(Response::new(convert(&found)))
    }

    async fn lookup_suppression(
        &self,
        request: Request<pb::LookupSuppressionRequest>,
    ) -> Result<Response<pb::Suppression>, Status> {
        let (call, message, mut violations) = Call::of(request)?;
        let email = violations.required("email", &message.email, Email::parse);
        let email = violations.finish(email)?;
        let account = &call.caller.account;
        let keys = keys_of(&self.0.ring, account, email.key());
        let found = self.0.find_lagging(Option::is_some, |reads| reads.find_suppression(account, &keys)).await?;
        let found = found.ok_or_else(status::address_not_suppressed)?;
        Ok(Response::new(convert(&found)))
    }

    async fn list_suppressions(
        &self,
        request: Request<pb::ListSuppressionsRequest>,
    ) -> Result<Response<pb::ListSuppressionsResponse>, Status> {
        let (call, message, mut violations) = Call::of(request)?;
        let asked = page::asked(&self.0, &call, &message, "create_time", &mut violations);
        let (size, limit) = (asked.size, asked.limit());
        let query = SuppressionQuery { ascending: asked.ascending, limit, after: asked.after };
        let query = violations.finish(Some(query))?;
        let account = &call.caller.account;
        let rows = self.0.read_lagging(|reads| reads.list_suppressions(account, &query)).await?;
        let (context, show) = ((self.0.as_ref(), &call, &message), |row: &_| Ok(convert(row)));
        let cursor_of = |row: &Suppression| Cursor::of_id(row.id);
        let (suppressions, next_page_token) = page::show(context, (&rows, None), size, cursor_of, show)?;
        Ok(Response::new(pb::ListSuppressionsResponse { suppressions, next_page_token }))
    }

    async fn delete_suppression(&self, request: Request<pb::DeleteSuppressionRequest>) -> Result<Response<()>, Status> {
        let (call, message, mut violations) = Call::of(request)?;
        let id = violations.required("name", &message.name, parse_suppression);
        let etag = violations.optional("etag", &message.etag, text::opaque_id);
        let id: Uuid = violations.finish(id)?;
        let once = self.0.write_once(&call, &message);
        let check = |known: &Suppression| known.check_etag(etag.as_deref());
        let deleted = self.0.store.delete_suppression(&call.caller.account, id, &once, check);
        self.0.read(deleted).await?.map_err(|refusal| match refusal {
            SuppressionRefusal::NotFound => status::suppression_not_found(&message.name),
            SuppressionRefusal::Stale => status::etag_mismatch("suppression"),
            SuppressionRefusal::RequestIdReused => status::request_id_reused(),
        })?;
        Ok(Response::new(()))
    }
}

fn to_create(violations: &mut Violations, given: Option<&pb::Suppression>) -> Option<(Email, SuppressionReason)> {
    let empty = pb::Suppression::default();
    let given = given.unwrap_or(&empty);
    let email = violations.required("suppression.email", &given.email, Email::parse);
    let reason = violations.take("suppression.reason", parse_reason(given.reason));
    Some((email?, reason?))
}

fn parse_reason(reason: i32) -> Result<SuppressionReason, Invalid> {
    match pb::SuppressionReason::try_from(reason) {
        Ok(pb::SuppressionReason::Unspecified | pb::SuppressionReason::Manual) => Ok(SuppressionReason::Manual),
        Ok(pb::SuppressionReason::HardBounce) => Ok(SuppressionReason::HardBounce),
        Ok(pb::SuppressionReason::Complaint) => Ok(SuppressionReason::Complaint),
        Err(_) => Err(Invalid::new(FieldRule::UnknownValue, "must be a known value")),
    }
}

/// Converts the reason of a suppression.
pub(super) fn reason(reason: SuppressionReason) -> pb::SuppressionReason {
    match reason {
        SuppressionReason::HardBounce => pb::SuppressionReason::HardBounce,
        SuppressionReason::Complaint => pb::SuppressionReason::Complaint,
        SuppressionReason::Manual => pb::SuppressionReason::Manual,
    }
}

/// Converts a suppression. The address itself is never shown.
fn convert(suppression: &Suppression) -> pb::Suppression {
    let source = suppression.source.map(|(invitation, delivery)| delivery_name(invitation, delivery));
    pb::Suppression {
        name: suppression_name(suppression.id),
        uid: suppression.id.to_string(),
        email: String::new(),
        masked_email: suppression.masked.clone(),
        reason: reason(suppression.reason).into(),
        source_delivery: source.unwrap_or_default(),
        creator: suppression.creator.clone(),
        create_time: Some(timestamp(suppression.created_at)),
        etag: suppression.etag(),
    }
}
