//! The RPCs of seats: settings of a scope, and the people in its seats. They change nothing about an invitation but its revision,
//! so no command does it.

use std::collections::BTreeSet;

use tonic::{Request, Status};

use super::parse::required_scope;
use crate::api::convert::{count, timestamp};
use crate::api::execute::{Api, Call};
use crate::api::parse::field_mask::FieldMask;
use crate::api::parse::page;
use crate::api::parse::violations::Violations;
use crate::api::resource::acceptance_name;
use crate::domain::erasure::is_reserved;
use crate::domain::invitation::acceptance::Subject;
use crate::domain::kind::Scope;
use crate::domain::seat::{ScopeKey, ScopeSeats, Seat};
use crate::domain::value::id::IdSeed;
use crate::domain::value::rule::{FieldRule, Invalid};
use crate::domain::value::text;
use crate::pb;
use crate::server::status;
use crate::store::{Cursor, ScopeUpdate, ScopeUpdated, SeatQuery, SeatsWritten};

const MAX_SEATS: i32 = 1_000_000;
const MAX_SUBJECTS: usize = 1_000;

/// Returns the settings of a scope.
pub(super) async fn get(api: &Api, request: Request<pb::GetScopeSettingsRequest>) -> Result<pb::ScopeSettings, Status> {
    let (call, message, mut violations) = Call::of(request)?;
    let scope = required_scope(&mut violations, message.scope.as_ref());
    let key = violations.finish(scope.as_ref().map(|scope| key_of(&call, scope)))?;
    let found = api.find_lagging(Option::is_some, |reads| reads.find_scope(&key)).await?;
    let found = found.filter(ScopeSeats::is_set);
    Ok(found.map_or_else(pb::ScopeSettings::default, |found| convert(&key, Some(&found))))
}

/// Changes the settings of a scope.
pub(super) async fn update(
    api: &Api,
    request: Request<pb::UpdateScopeSettingsRequest>,
) -> Result<pb::ScopeSettings, Status> {
    let (call, message, mut violations) = Call::of(request)?;
    let given = to_update(&mut violations, &message);
    let (scope, etag, update) = violations.finish(given)?;
    let (key, once) = (key_of(&call, &scope), api.write_once(&call, &message));
    let new_id = IdSeed::new(api.clock.now(), api.entropy.bytes()).nth(0);
    let updated = api.done(api.store.update_scope(&key, update, (etag.as_deref(), new_id), &once).await)?;
    match updated {
        ScopeUpdated::Done(settings) => Ok(written(&key, Some(&settings), message.validate_only)),
        ScopeUpdated::Stale => Err(status::etag_mismatch("scope's settings")),
        ScopeUpdated::RequestIdReused => Err(status::request_id_reused()),
    }
}

/// Gives people seats.
pub(super) async fn occupy(
    api: &Api,
    request: Request<pb::OccupySeatsRequest>,
) -> Result<pb::OccupySeatsResponse, Status> {
    let (call, message, mut violations) = Call::of(request)?;
    let people = people(&mut violations, message.scope.as_ref(), &message.subjects, |subject| {
        let rule = "must not begin with system: or erased:, which are for AcceptGuestInvitation and EraseRecipient";
        if is_reserved(subject) { Err(Invalid::new(FieldRule::NotAllowed, rule)) } else { text::opaque_id(subject) }
    });
    let (scope, subjects) = violations.finish(people)?;
    let (key, once, now) = (key_of(&call, &scope), api.write_once(&call, &message), api.clock.now());
    let seed = IdSeed::new(now, api.entropy.bytes());
    let done = api.done(api.store.occupy_seats(&key, &subjects, (&seed, now), &once).await)?;
    let (occupied_count, scope_settings) = answer(&key, done, message.validate_only)?;
    Ok(pb::OccupySeatsResponse { occupied_count, scope_settings: Some(scope_settings) })
}

/// Takes seats away.
pub(super) async fn vacate(
    api: &Api,
    request: Request<pb::VacateSeatsRequest>,
) -> Result<pb::VacateSeatsResponse, Status> {
    let (call, message, mut violations) = Call::of(request)?;
    let people = people(&mut violations, message.scope.as_ref(), &message.subjects, text::opaque_id);
    let (scope, subjects) = violations.finish(people)?;
    let (key, once) = (key_of(&call, &scope), api.write_once(&call, &message));
    let done = api.done(api.store.vacate_seats(&key, &subjects, api.clock.now(), &once).await)?;
    let (vacated_count, scope_settings) = answer(&key, done, message.validate_only)?;
    Ok(pb::VacateSeatsResponse { vacated_count, scope_settings: Some(scope_settings) })
}

/// Lists the people in the seats of a scope.
pub(super) async fn list(api: &Api, request: Request<pb::ListSeatsRequest>) -> Result<pb::ListSeatsResponse, Status> {
    let (call, message, mut violations) = Call::of(request)?;
    let asked = page::asked(api, &call, &message, "occupy_time", &mut violations);
    let scope = required_scope(&mut violations, message.scope.as_ref());
    let (size, limit) = (asked.size, asked.limit());
    let query = SeatQuery { ascending: asked.ascending, limit, after: asked.after };
    let (query, scope) = violations.finish(scope.map(|scope| (query, scope)))?;
    let key = key_of(&call, &scope);
    let rows = api.read_lagging(|reads| reads.list_seats(&key, &query)).await?;
    let cursor_of = |(_, seat): &(Subject, Seat)| Cursor::of_id(seat.id);
    let show = |(subject, seat): &(Subject, Seat)| Ok(shown(subject, seat));
    let (seats, next_page_token) = page::show((api, &call, &message), (&rows, None), size, cursor_of, show)?;
    Ok(pb::ListSeatsResponse { seats, next_page_token })
}

fn key_of(call: &Call, scope: &Scope) -> ScopeKey {
    ScopeKey::new(&call.caller.account, scope)
}

fn to_update(
    violations: &mut Violations,
    request: &pb::UpdateScopeSettingsRequest,
) -> Option<(Scope, Option<String>, ScopeUpdate)> {
    const SEATS: &str = "scope_settings.seats";
    let empty = pb::ScopeSettings::default();
    let given = request.scope_settings.as_ref().unwrap_or(&empty);
    let unnamed = pb::ScopeRef::default();
    let scope = given.scope.as_ref().unwrap_or(&unnamed);
    let scope = crate::api::parse::filter::scope(violations, "scope_settings.scope", Some(scope));
    let etag = violations.optional("scope_settings.etag", &given.etag, text::opaque_id);
    let fields = [("seats", given.seats.is_some()), ("reserve_open", given.reserve_open.is_some())];
    let mask = FieldMask::parse(violations, request.update_mask.as_ref(), fields);
    if given.seats.is_some_and(|seats| !(0..=MAX_SEATS).contains(&seats)) {
        violations.add(SEATS, FieldRule::OutOfRange, "must be 0 to 1,000,000, or unset for any number");
    }
    let update = ScopeUpdate {
        seats: mask.has("seats").then(|| given.seats.map(i64::from)),
        reserve_open: mask.has("reserve_open").then(|| given.reserve_open.unwrap_or_default()),
    };
    Some((scope?, etag, update))
}

/// Parses a scope and people; the same twice counts once.
fn people(
    violations: &mut Violations,
    scope: Option<&pb::ScopeRef>,
    subjects: &[String],
    parse: impl Fn(&str) -> Result<String, Invalid>,
) -> Option<(Scope, BTreeSet<Subject>)> {
    let scope = required_scope(violations, scope);
    if subjects.is_empty() {
        violations.add("subjects", FieldRule::Required, "is required");
    }
    let subjects = violations.each("subjects", subjects, MAX_SUBJECTS, parse);
    Some((scope?, subjects.into_iter().map(Subject).collect()))
}

fn answer(key: &ScopeKey, done: SeatsWritten, is_dry_run: bool) -> Result<(i32, pb::ScopeSettings), Status> {
    match done {
        SeatsWritten::Done(changed, settings) => Ok((count(changed), written(key, settings.as_ref(), is_dry_run))),
        SeatsWritten::Full(refusal) => Err(refusal.into()),
        SeatsWritten::RequestIdReused => Err(status::request_id_reused()),
    }
}

/// Converts settings after a write; those that would be have no etag.
fn written(key: &ScopeKey, settings: Option<&ScopeSeats>, is_dry_run: bool) -> pb::ScopeSettings {
    let shown = convert(key, settings);
    if is_dry_run { pb::ScopeSettings { etag: String::new(), ..shown } } else { shown }
}

fn convert(key: &ScopeKey, settings: Option<&ScopeSeats>) -> pb::ScopeSettings {
    let scope = Some(pb::ScopeRef { r#type: key.scope_type.clone(), id: key.scope_id.clone() });
    // Settings that only begin to be counted are nobody's yet.
    let Some(settings) = settings.filter(|settings| settings.is_set()) else {
        return pb::ScopeSettings { scope, ..pb::ScopeSettings::default() };
    };
    pb::ScopeSettings {
        scope,
        seats: settings.seats.map(count),
        reserve_open: Some(settings.reserve_open),
        occupied: count(settings.occupied),
        reserved: count(settings.reserved()),
        available: settings.available().map(count),
        over_by: count(settings.over_by()),
        etag: settings.etag(),
    }
}

fn shown(subject: &Subject, seat: &Seat) -> pb::Seat {
    let holders = seat.holders.iter();
    pb::Seat {
        subject: subject.0.clone(),
        acceptances: holders.map(|holder| acceptance_name(holder.invitation, holder.acceptance)).collect(),
        recorded: seat.by_caller,
        occupy_time: Some(timestamp(seat.occupied_at)),
    }
}
