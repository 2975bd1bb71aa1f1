//! Statuses of limits: each names its limit, in ErrorInfo and in QuotaFailure, and says whether waiting helps.

use std::time::Duration;

use tonic::Status;
use tonic_types::StatusExt as _;

use super::{code, details, status};
use crate::domain::invitation::refusal::{QuotaExceeded, ScopeFull};
use crate::domain::quota::{API_KEYS, PER_RECIPIENT};
use crate::pb::ErrorReason;

/// RESOURCE_EXHAUSTED for a limit on a number.
pub(crate) fn quota_exceeded(limit: &str, message: &str) -> Status {
    let mut details = details(ErrorReason::QuotaExceeded, [("limit", limit.to_owned())]);
    details.add_quota_failure_violation(limit, message);
    Status::with_error_details(code(ErrorReason::QuotaExceeded), message, details)
}

/// RESOURCE_EXHAUSTED for more of a quota than is left, with the time after which there is room again, if only time makes it.
pub(super) fn quota_used_up(exceeded: &QuotaExceeded) -> Status {
    let QuotaExceeded { name, limit, used, asked, retry_after } = *exceeded;
    let remedy = match (retry_after, asked > i64::from(limit)) {
        (Some(_), _) if name == PER_RECIPIENT => {
            "the link would be replaced and no message bring the new one, so set send_email to false and pass it on yourself, or \
             try again after the delay, which ends with the day"
        }
        (_, true) => "that is more than it ever allows, so send fewer",
        (Some(_), false) => "try again after the delay, which ends with the day",
        (None, false) => "revoke open invitations, or wait until some end or expire",
    };
    let message = format!("{name} is {limit}, of which {used} are used, and this asks for {asked} more: {remedy}");
    quota(name, (limit, used), &message, retry_after)
}

/// RESOURCE_EXHAUSTED for one API key in force more than an account may have.
pub(crate) fn too_many_api_keys(limit: u32, used: u64) -> Status {
    let message = format!("{API_KEYS} is {limit}, and {used} are in force: revoke one, or wait until one expires");
    quota(API_KEYS, (limit, i64::try_from(used).unwrap_or(i64::MAX)), &message, None)
}

fn quota(name: &str, (limit, used): (u32, i64), message: &str, retry_after: Option<Duration>) -> Status {
    let metadata = [("limit", name.to_owned()), ("max", limit.to_string()), ("used", used.to_string())];
    let mut details = details(ErrorReason::QuotaExceeded, metadata);
    details.add_quota_failure_violation(name, message);
    if retry_after.is_some() {
        details.set_retry_info(retry_after);
    }
    Status::with_error_details(code(ErrorReason::QuotaExceeded), message, details)
}

/// RESOURCE_EXHAUSTED, to be retried after a while.
pub(crate) fn rate_limited(limit: &str, retry_after: Duration) -> Status {
    let mut details = details(ErrorReason::RateLimited, [("limit", limit.to_owned())]);
    details.set_retry_info(Some(retry_after));
    let message = "there were too many requests: try again after the delay";
    details.add_quota_failure_violation(limit, message);
    Status::with_error_details(code(ErrorReason::RateLimited), message, details)
}

/// FAILED_PRECONDITION for more seats than a scope has left.
pub(super) fn scope_full(full: ScopeFull) -> Status {
    let ScopeFull { scope_type, scope_id, seats, available } = full;
    let message = format!(
        "{available} of the {seats} seats of the scope are left: raise the number with UpdateScopeSettings, or give seats back with \
         VacateSeats"
    );
    let numbers = [("seats", seats.to_string()), ("available", available.to_string())];
    let [seats, available] = numbers;
    status(ErrorReason::ScopeFull, &message, [("scope_type", scope_type), ("scope_id", scope_id), seats, available])
}

/// FAILED_PRECONDITION for a filter that finds more invitations than the caller expects.
pub(crate) fn expected_count_exceeded(expected: u64, matching: u64) -> Status {
    let message = format!(
        "the filter finds more than {expected} invitations: look at them with validate_only, then send the number that is meant"
    );
    let metadata = [("expected_count", expected.to_string()), ("matching_count", matching.to_string())];
    status(ErrorReason::ExpectedCountExceeded, &message, metadata)
}
