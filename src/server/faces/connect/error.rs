//! Statuses as Connect has them: the codes of HTTP, and the error in JSON with its details.

use data_encoding::BASE64_NOPAD;
use http::StatusCode;
use prost::Message as _;
use prost_reflect::DynamicMessage;
use serde::Serialize;
use tonic::{Code, Status};

use crate::pb::POOL;
use crate::server::call_log::outcome::code_name;

/// Returns the code of HTTP for a code of gRPC, by the table of the protocol.
pub(super) fn http_status(code: Code) -> StatusCode {
    match code {
        Code::Ok => StatusCode::OK,
        // 499 has no name of its own.
        Code::Cancelled => StatusCode::from_u16(499).unwrap_or(StatusCode::BAD_REQUEST),
        Code::InvalidArgument | Code::FailedPrecondition | Code::OutOfRange => StatusCode::BAD_REQUEST,
        Code::DeadlineExceeded => StatusCode::GATEWAY_TIMEOUT,
        Code::NotFound => StatusCode::NOT_FOUND,
        Code::AlreadyExists | Code::Aborted => StatusCode::CONFLICT,
        Code::PermissionDenied => StatusCode::FORBIDDEN,
        Code::ResourceExhausted => StatusCode::TOO_MANY_REQUESTS,
        Code::Unimplemented => StatusCode::NOT_IMPLEMENTED,
        Code::Unavailable => StatusCode::SERVICE_UNAVAILABLE,
        Code::Unauthenticated => StatusCode::UNAUTHORIZED,
        Code::Unknown | Code::Internal | Code::DataLoss => StatusCode::INTERNAL_SERVER_ERROR,
    }
}

/// Returns the name of a code.
fn name(code: Code) -> String {
    match code {
        // The protocol writes it with one `l`.
        Code::Cancelled => "canceled".to_owned(),
        other => code_name(other).to_ascii_lowercase(),
    }
}

/// A status in JSON.
#[derive(Serialize)]
pub(super) struct Error {
    code: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    message: String,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    details: Vec<Detail>,
}

/// A detail twice: as it is, and in JSON for people.
#[derive(Serialize)]
struct Detail {
    r#type: String,
    value: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    debug: Option<DynamicMessage>,
}

impl Error {
    /// Returns a status as an error.
    pub(super) fn of(status: &Status) -> Self {
        let details = tonic_types::pb::Status::decode(status.details()).unwrap_or_default().details;
        let details = details.into_iter().map(|detail| Detail::of(&detail.type_url, &detail.value)).collect();
        Self { code: name(status.code()), message: status.message().to_owned(), details }
    }

    /// Returns the text of the error.
    pub(super) fn text(&self) -> Vec<u8> {
        serde_json::to_vec(self).unwrap_or_default()
    }
}

impl Detail {
    fn of(type_url: &str, value: &[u8]) -> Self {
        let name = type_url.rsplit('/').next().unwrap_or_default();
        let descriptor = POOL.get_message_by_name(name);
        let debug = descriptor.and_then(|descriptor| DynamicMessage::decode(descriptor, value).ok());
        Self { r#type: name.to_owned(), value: BASE64_NOPAD.encode(value), debug }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::domain::value::rule::FieldRule;
    use crate::server::status;

    fn error(status: &Status) -> Value {
        serde_json::from_slice(&Error::of(status).text()).unwrap()
    }

    #[test]
    fn every_code_has_its_name_and_its_code_of_http() {
        for (number, name, code) in [
            (1, "canceled", 499),
            (2, "unknown", 500),
            (3, "invalid_argument", 400),
            (4, "deadline_exceeded", 504),
            (5, "not_found", 404),
            (6, "already_exists", 409),
            (7, "permission_denied", 403),
            (8, "resource_exhausted", 429),
            (9, "failed_precondition", 400),
            (10, "aborted", 409),
            (11, "out_of_range", 400),
            (12, "unimplemented", 501),
            (13, "internal", 500),
            (14, "unavailable", 503),
            (15, "data_loss", 500),
            (16, "unauthenticated", 401),
        ] {
            let status = Status::new(Code::from(number), "in words");
            assert_eq!(error(&status), json!({"code": name, "message": "in words"}));
            assert_eq!(http_status(status.code()).as_u16(), code, "{name}");
        }
        assert_eq!(error(&Status::new(Code::Unknown, "")), json!({"code": "unknown"}));
    }

    #[test]
    fn details_are_told_in_both_forms() {
        let status = status::invalid_json_value("name", FieldRule::Required, "is required");
        let error = error(&status);
        assert_eq!((&error["code"], &error["message"]), (&"invalid_argument".into(), &"name is required".into()));
        let [info, request] = error["details"].as_array().unwrap().as_slice() else { panic!("{error}") };
        assert_eq!(info["type"], "google.rpc.ErrorInfo");
        assert_eq!(info["debug"], json!({"reason": "INVALID_FIELD", "domain": "invitation-service"}));
        let value = BASE64_NOPAD.decode(info["value"].as_str().unwrap().as_bytes()).unwrap();
        assert_eq!(tonic_types::pb::ErrorInfo::decode(value.as_slice()).unwrap().reason, "INVALID_FIELD");
        assert_eq!(request["debug"]["fieldViolations"][0]["field"], "name");
        let unknown = serde_json::to_value(Detail::of("type.googleapis.com/other.Thing", &[1, 2])).unwrap();
        assert_eq!(unknown, json!({"type": "other.Thing", "value": "AQI"}));
    }
}
