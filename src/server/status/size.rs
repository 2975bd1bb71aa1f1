//! The size of a status, and the statuses about sizes.

use std::collections::HashMap;

use tonic::Status;
use tonic_types::{ErrorDetails, StatusExt as _};

use super::status;
use crate::pb::ErrorReason;
use crate::server::violation::Violation;

/// The most bytes of a status: its message and its details. Clients refuse larger trailers, and some then hang.
const MAX_STATUS: usize = 6 * 1024;
/// The most bytes of a text that is told.
const MAX_TEXT: usize = 512;

/// Returns a smaller status in place of one that is too large: its reason, the beginning of its message, which has the number of
/// all violations, and the first of them.
pub(crate) fn bounded(status: &Status) -> Option<Status> {
    if status.message().len() + status.details().len() <= MAX_STATUS {
        return None;
    }
    let mut details = ErrorDetails::new();
    if let Some(info) = status.get_details_error_info() {
        let metadata: HashMap<_, _> =
            info.metadata.into_iter().map(|(key, value)| (key, shortened(&value, MAX_TEXT))).collect();
        details.set_error_info(info.reason, info.domain, metadata);
    }
    let first: Vec<_> = Violation::first_of(status).into_iter().map(Violation::into_detail).collect();
    if !first.is_empty() {
        details.set_bad_request(first);
    }
    Some(Status::with_error_details(status.code(), shortened(status.message(), MAX_TEXT), details))
}

/// Shortens the middle of a text to a number of bytes, so that a number at its end stays.
fn shortened(text: &str, most: usize) -> String {
    const ENDING: usize = 24;
    if text.len() <= most {
        return text.to_owned();
    }
    let begin = text.floor_char_boundary(most.saturating_sub(ENDING + 3));
    let end = text.ceil_char_boundary(text.len().saturating_sub(ENDING));
    format!("{}...{}", &text[..begin], &text[end..])
}

/// RESOURCE_EXHAUSTED for an answer that clients would refuse.
pub(crate) fn answer_too_large() -> Status {
    let message = "the answer would be larger than 4 MiB: ask for fewer";
    status(ErrorReason::MessageTooLarge, message, [])
}

/// RESOURCE_EXHAUSTED for metadata beyond the largest size.
pub(crate) fn metadata_too_large(max_bytes: usize) -> Status {
    let message = format!("the metadata of the call are larger than {max_bytes} bytes: leave some out");
    status(ErrorReason::MessageTooLarge, &message, [("max_bytes", max_bytes.to_string())])
}

/// RESOURCE_EXHAUSTED for a request beyond the largest size.
pub(crate) fn message_too_large(max_bytes: usize) -> Status {
    let message = format!("the request message is larger than {max_bytes} bytes: split it");
    status(ErrorReason::MessageTooLarge, &message, [("max_bytes", max_bytes.to_string())])
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::value::rule::FieldRule;
    use crate::server::status::invalid_fields;

    #[test]
    fn large_status_is_told_by_its_beginning() {
        for (count, field, description) in [
            (1_000, "requests[0].invitation.targets[0].value".to_owned(), "must be an e-mail address".to_owned()),
            (1_000, "ä".repeat(2_000), "must be ö".to_owned()),
            (1, "f".to_owned(), "ü".repeat(5_000)),
        ] {
            let violation = || Violation::new(field.clone(), FieldRule::InvalidFormat, &description);
            let whole = invalid_fields((0..count).map(|_| violation()).collect());
            let told = bounded(&whole).unwrap();
            assert!(told.message().len() + told.details().len() <= MAX_STATUS, "{}", told.details().len());
            assert_eq!(told.get_details_error_info().unwrap().reason, "INVALID_FIELD");
            if count > 1 {
                assert!(told.message().ends_with(" (and 999 more)"), "{}", told.message());
            }
            assert!(bounded(&told).is_none());
        }
        assert!(bounded(&invalid_fields(vec![Violation::new("f", FieldRule::Required, "is required")])).is_none());
    }
}
