//! Assertions about statuses.

use std::collections::HashMap;
use std::sync::OnceLock;

use invitation_service::pb;
use prost::Message;
use prost_types::FileDescriptorSet;
use tonic::{Code, Status};
use tonic_types::StatusExt;

/// The code and the reason of a refusal.
pub(crate) fn reason(status: &Status) -> (Code, String) {
    let details = status.get_error_details();
    let info = details.error_info().unwrap_or_else(|| panic!("no ErrorInfo on {status:?}"));
    assert_eq!(info.domain, "invitation-service");
    assert_eq!(documented().get(&info.reason), Some(&status.code()), "what the proto file says of {}", info.reason);
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

/// The code of a name as AIP-193 writes it, `NOT_FOUND` for example.
pub(crate) fn code_named(name: &str) -> Option<Code> {
    let camel: String = name
        .split('_')
        .flat_map(|word| [&word[..1], &word[1..]].map(str::to_owned))
        .enumerate()
        .map(|(index, part)| if index % 2 == 0 { part } else { part.to_lowercase() })
        .collect();
    (0..=16).map(Code::from_i32).find(|code| format!("{code:?}") == camel)
}

/// The code that the proto file gives each error reason: the first word of the value's comment.
fn documented() -> &'static HashMap<String, Code> {
    static DOCUMENTED: OnceLock<HashMap<String, Code>> = OnceLock::new();
    DOCUMENTED.get_or_init(|| {
        let set = FileDescriptorSet::decode(pb::DESCRIPTORS).unwrap();
        let file = set.file.iter().find(|file| file.name().ends_with("error_reason.proto")).unwrap();
        let locations = &file.source_code_info.as_ref().unwrap().location;
        let mut codes = HashMap::new();
        for (index, value) in (0..).zip(&file.enum_type[0].value) {
            let comment = locations.iter().find(|location| location.path == [5, 0, 2, index]);
            let code = comment.and_then(|found| code_named(found.leading_comments().trim().split('.').next()?));
            codes.extend(code.map(|code| (value.name().trim_start_matches("ERROR_REASON_").to_owned(), code)));
        }
        codes
    })
}
