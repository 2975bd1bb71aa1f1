//! `PrivacyService`: the data of people, shown and erased.

mod export;

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use tonic::{Request, Response, Status};
use uuid::Uuid;

use super::convert::count;
use super::execute::{Api, Call};
use super::parse::violations::Violations;
use crate::domain::erasure::tombstone::{AddressMac, Tombstone};
use crate::domain::value::given_email::GivenEmail;
use crate::domain::value::id::IdSeed;
use crate::pb;
use crate::pb::privacy_service_server::PrivacyService;
use crate::server::status;
use crate::store::erasures::chunk::{ChunkError, PersonErasure, PersonPlace};
use crate::store::erasures::{AnotherRequest, ErasureCounts, RecordedErasure};

/// The least time before the deadline in which another chunk is begun.
const MIN_TIME: Duration = Duration::from_millis(100);
/// The time between two looks whether another attempt at a call has finished.
const WAIT: Duration = Duration::from_millis(50);

/// Serves `PrivacyService`.
#[derive(Debug)]
pub(crate) struct Privacy(pub(crate) Arc<Api>);

#[tonic::async_trait]
impl PrivacyService for Privacy {
    async fn erase_recipient(
        &self,
        request: Request<pb::EraseRecipientRequest>,
    ) -> Result<Response<pb::EraseRecipientResponse>, Status> {
        let (call, message, mut violations) = Call::of(request)?;
        let email = required_email(&mut violations, &message.email);
        let email = violations.finish(email)?;
        erase(&self.0, &call, &message, &email).await.map(Response::new)
    }

    async fn export_recipient(
        &self,
        request: Request<pb::ExportRecipientRequest>,
    ) -> Result<Response<pb::ExportRecipientResponse>, Status> {
        let (call, message, violations) = Call::of(request)?;
        export::export(&self.0, &call, &message, violations).await.map(Response::new)
    }
}

/// Parses the address of a person. Acceptors may have one that no mail could be sent to.
fn required_email(violations: &mut Violations, email: &str) -> Option<GivenEmail> {
    violations.required("email", email, GivenEmail::parse)
}

async fn erase(
    api: &Api,
    call: &Call,
    message: &pb::EraseRecipientRequest,
    email: &GivenEmail,
) -> Result<pb::EraseRecipientResponse, Status> {
    let account = &call.caller.account;
    let once = api.write_once(call, message);
    let macs = AddressMac::of(&api.ring, account, &email.search_key());
    let address = macs.into_iter().next().ok_or_else(|| api.defect(&"there is no key for a tombstone"))?;
    let id = seed(api).nth(0);
    let is_dry_run = message.validate_only;
    let recorded = loop {
        let begun = api.read(api.store.begin_erasure(account, (id, &address), &once)).await?;
        let recorded = begun.map_err(|AnotherRequest| status::request_id_reused())?;
        if recorded.is_done {
            return Ok(answer(recorded.counts, false));
        }
        let is_first = is_dry_run || recorded.id == id;
        if is_first || api.read(api.store.take_up_erasure(account, recorded.id)).await? {
            break recorded;
        }
        // Another attempt at the same call is at work, and its answer is the answer. The deadline of the call ends the wait.
        tokio::time::sleep(WAIT).await;
    };
    if !is_dry_run && recorded.id == id {
        log_tombstone(account.as_str(), &recorded, address);
    }
    let until = recorded.erased_at;
    let person = PersonErasure { account, actor: &call.caller.name, email, until, ring: &api.ring, is_dry_run };
    let erased = erase_all(api, call, &person, recorded.id).await;
    if is_dry_run {
        return erased.map(|Erased { counts, more }| answer(counts, more));
    }
    if !erased.as_ref().is_ok_and(|erased| !erased.more) {
        api.read(api.store.leave_erasure(account, recorded.id)).await?;
    }
    if erased?.more {
        let recorded = api.read(api.store.recorded_erasure(account, recorded.id)).await?;
        return Ok(answer(recorded.counts, true));
    }
    api.read(api.store.cancel_codes(account, &email.search_key())).await?;
    api.read(api.store.erase_from_suppression(&person)).await?;
    let recorded = api.read(api.store.finish_erasure(account, recorded.id)).await?;
    Ok(answer(recorded.counts, false))
}

/// Logs the tombstone as a line of JSON: a log outlives the database, so that what was erased since its last backup is known.
fn log_tombstone(account: &str, recorded: &RecordedErasure, address: AddressMac) {
    let (account, id, erased_at) = (account.to_owned(), recorded.id, recorded.erased_at);
    let line = serde_json::to_string(&Tombstone { account, id, address, erased_at }).unwrap_or_default();
    log_event!(info, RECIPIENT_ERASED, tombstone = line, "erasing a recipient");
}

/// The numbers of a call, and whether the time was too short for all.
struct Erased {
    counts: ErasureCounts,
    more: bool,
}

/// Erases chunk by chunk, as long as there is time for another one. An invitation that cannot be erased holds up no other, and fails
/// the call in the end.
async fn erase_all(api: &Api, call: &Call, person: &PersonErasure<'_>, id: Uuid) -> Result<Erased, Status> {
    let (mut counts, mut failed, mut slowest) = (ErasureCounts::default(), None, Duration::ZERO);
    let (mut place, mut seen) = (Some(PersonPlace::start()), BTreeSet::new());
    while let Some(after) = place {
        let before = call.deadline.left();
        // The first chunk is tried in any case: its failure says why.
        if after != PersonPlace::start() && before < slowest.saturating_mul(2).max(MIN_TIME) {
            return Ok(Erased { counts, more: true });
        }
        let chunk = api.store.erase_chunk(person, after, || seed(api), Some(call.deadline.0)).await;
        let chunk = chunk.map_err(|error| match error {
            ChunkError::Store(error) => api.failed(error),
            ChunkError::Batch(error) => error.into(),
        })?;
        let erased = chunk.counts(&mut seen);
        if !person.is_dry_run && erased != ErasureCounts::default() {
            api.read(api.store.count_erased(person.account, id, erased)).await?;
        }
        counts.add(erased);
        failed = failed.or(chunk.failed);
        place = chunk.next;
        slowest = slowest.max(before.saturating_sub(call.deadline.left()));
    }
    match failed {
        Some(error) => Err(error.into()),
        None => Ok(Erased { counts, more: false }),
    }
}

fn seed(api: &Api) -> IdSeed {
    IdSeed::new(api.clock.now(), api.entropy.bytes())
}

fn answer(counts: ErasureCounts, more: bool) -> pb::EraseRecipientResponse {
    let ErasureCounts { invitations, acceptances, events, messages } = counts;
    pb::EraseRecipientResponse {
        invitation_count: count(invitations),
        acceptance_count: count(acceptances),
        event_count: count(events),
        message_count: count(messages),
        more,
    }
}
