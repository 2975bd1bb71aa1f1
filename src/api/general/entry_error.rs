//! The error of one entry of a call.

use tonic::Status;
use tonic_types::StatusExt;

use crate::pb;
use crate::server::violation::Violation;

/// Converts a status to the error of a batch's entry.
pub(in crate::api) fn entry_error(status: &Status) -> pb::BatchError {
    let details = status.get_error_details();
    let info = details.error_info().cloned();
    let (reason, metadata) = info.map(|info| (info.reason, info.metadata)).unwrap_or_default();
    let retry_delay = details.retry_info().and_then(|retry| retry.retry_delay);
    pb::BatchError {
        code: status.code().into(),
        reason,
        message: status.message().to_owned(),
        field_violations: Violation::first_of(status).into_iter().map(Into::into).collect(),
        metadata: metadata.into_iter().collect(),
        retry_delay: retry_delay.and_then(|delay| delay.try_into().ok()),
    }
}
