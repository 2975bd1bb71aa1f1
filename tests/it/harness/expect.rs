//! What tests say of statuses.

use tonic::{Code, Status};
use tonic_types::StatusExt;

/// The code and the reason of a refusal.
pub(crate) fn reason(status: &Status) -> (Code, String) {
    let details = status.get_error_details();
    let info = details.error_info().unwrap_or_else(|| panic!("no ErrorInfo on {status:?}"));
    assert_eq!(info.domain, "invitation.v1");
    (status.code(), info.reason.clone())
}

/// Asserts that a call was refused with a code and a reason.
#[track_caller]
pub(crate) fn refused<T: std::fmt::Debug>(result: Result<T, Status>, code: Code, wanted: &str) -> Status {
    let status = result.expect_err("the call should have been refused");
    assert_eq!(reason(&status), (code, wanted.to_owned()), "{}", status.message());
    status
}

/// The fields that a refusal of INVALID_FIELD names.
pub(crate) fn violated(status: &Status) -> Vec<String> {
    let details = status.get_error_details();
    let violations = details.bad_request().map(|bad| bad.field_violations.clone()).unwrap_or_default();
    violations.into_iter().map(|violation| violation.field).collect()
}
