//! The error of one entry of a call.

use tonic::Status;
use tonic_types::StatusExt;

use crate::pb;

/// Converts a status to the error of a batch's entry.
pub(in crate::api) fn entry_error(status: &Status) -> pb::BatchError {
    let details = status.get_error_details();
    let violations = details.bad_request().map(|bad| bad.field_violations.as_slice()).unwrap_or_default();
    let violation = |violation: &tonic_types::FieldViolation| pb::FieldViolation {
        field: violation.field.clone(),
        description: violation.description.clone(),
    };
    let info = details.error_info().cloned();
    let (reason, metadata) = info.map(|info| (info.reason, info.metadata)).unwrap_or_default();
    let retry_delay = details.retry_info().and_then(|retry| retry.retry_delay);
    pb::BatchError {
        code: status.code().into(),
        reason,
        message: status.message().to_owned(),
        field_violations: violations.iter().map(violation).collect(),
        metadata: metadata.into_iter().collect(),
        retry_delay: retry_delay.and_then(|delay| delay.try_into().ok()),
    }
}
