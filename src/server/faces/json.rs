//! The JSON mapping of protobuf, both ways, by the compiled proto files.

mod answer;
mod problem;

use bytes::Bytes;
use prost::Message as _;
use prost_reflect::{DynamicMessage, MessageDescriptor};
use tonic::Status;

use super::envelope::envelope;
use crate::server::status;

pub(super) use answer::of_answer;

/// The most values of a request. A value of two characters takes some six hundred bytes until it is written anew: without a bound, a
/// request of a mebibyte would take a third of a gibibyte.
const MAX_VALUES: usize = 50_000;

/// Returns a request in JSON as a message of gRPC, which has a prefix. A field that the message does not have is refused as in the
/// binary form, and a value of another form with the path of its field. No text of the request is repeated but names of fields.
pub(super) fn to_grpc(descriptor: &MessageDescriptor, json: &[u8]) -> Result<Bytes, Status> {
    if values(json) > MAX_VALUES {
        return Err(status::too_many_values(MAX_VALUES));
    }
    let mut deserializer = serde_json::Deserializer::from_slice(json);
    let message = DynamicMessage::deserialize(descriptor.clone(), &mut deserializer)
        .and_then(|message| deserializer.end().map(|()| message))
        .map_err(|_| problem::of(descriptor, json))?;
    Ok(envelope(0, &message.encode_to_vec()))
}

/// Returns the number of values in a JSON text, or a few more: each is behind a comma or the beginning of a list or an object.
fn values(json: &[u8]) -> usize {
    let (mut values, mut in_string, mut escaped) = (0_usize, false, false);
    for byte in json {
        match byte {
            _ if escaped => escaped = false,
            b'\\' if in_string => escaped = true,
            b'"' => in_string = !in_string,
            b',' | b'{' | b'[' if !in_string => values += 1,
            _ => {}
        }
    }
    values
}

#[cfg(test)]
mod tests {
    use prost::Message as _;
    use serde_json::{Value, json};
    use tonic::Code;
    use tonic_types::StatusExt as _;

    use super::*;
    use crate::pb::{self, POOL};

    fn descriptor(name: &str) -> MessageDescriptor {
        POOL.get_message_by_name(&format!("invitation.v1.{name}")).unwrap()
    }

    fn refused(name: &str, json: &str) -> Status {
        to_grpc(&descriptor(name), json.as_bytes()).unwrap_err()
    }

    #[test]
    fn json_becomes_the_message_it_stands_for() {
        let json = json!({
            "invitation": {
                "scope": {"type": "team", "id": "blue"}, "max_uses": 3, "ttl": "3600s", "labels": {"a": "b"},
                "metadata": {"seats": [1, true, null]}, "targets": [{"type": "TARGET_TYPE_EMAIL"}],
            },
            "requestId": "one", "sendEmail": null,
        });
        let message = to_grpc(&descriptor("CreateInvitationRequest"), json.to_string().as_bytes()).unwrap();
        let (prefix, body) = message.split_at(5);
        assert_eq!(prefix[1..], u32::try_from(body.len()).unwrap().to_be_bytes());
        let request = pb::CreateInvitationRequest::decode(body).unwrap();
        let made = request.invitation.unwrap();
        assert_eq!((request.request_id.as_str(), request.send_email), ("one", None));
        assert_eq!((made.max_uses, made.labels["a"].as_str()), (Some(3), "b"));
        assert_eq!((made.targets[0].r#type, made.scope.unwrap().id.as_str()), (1, "blue"));
        assert_eq!(made.metadata.unwrap().fields.len(), 1);
    }

    #[test]
    fn answer_is_written_with_the_names_of_json() {
        let shown = pb::Invitation { max_uses: Some(3), use_count: 2, ..Default::default() };
        let json = of_answer(&descriptor("Invitation"), &shown.encode_to_vec()).unwrap();
        let json: Value = serde_json::from_slice(&json).unwrap();
        assert_eq!(json, json!({"maxUses": 3, "useCount": 2}));
        assert!(of_answer(&descriptor("Invitation"), &[0xff]).is_none());
    }

    #[test]
    fn field_that_is_unknown_is_refused_by_its_path() {
        for (json, path) in [
            (r#"{"nothing": 1}"#, "nothing"),
            (r#"{"invitation": {"targets": [{}, {"x": 1}]}}"#, "invitation.targets[1].x"),
            (r#"{"invitation": {"scope": {"Type": "team"}}}"#, "invitation.scope.Type"),
            (r#"{"invitation": {"maxUses": "many"}, "nothing": 1}"#, "nothing"),
        ] {
            let status = refused("CreateInvitationRequest", json);
            let details = status.get_error_details();
            let info = details.error_info().unwrap();
            assert_eq!((status.code(), info.reason.as_str()), (Code::InvalidArgument, "UNKNOWN_FIELD"), "{json}");
            assert_eq!(info.metadata["field"], path, "{json}");
        }
        let long = format!(r#"{{"{}": 1}}"#, "ä".repeat(5_000));
        let field =
            refused("CreateInvitationRequest", &long).get_error_details().error_info().unwrap().metadata["field"]
                .clone();
        assert!(field.len() <= 200 && field.starts_with("ää"), "{field}");
    }

    #[test]
    fn value_of_another_form_is_refused_at_its_field_in_words() {
        for (json, path, rule, words) in [
            (r#"{"invitation": {"maxUses": "secret"}}"#, "invitation.max_uses", "INVALID_FORMAT", "whole number"),
            (r#"{"invitation": {"maxUses": 1.5}}"#, "invitation.max_uses", "INVALID_FORMAT", "whole number"),
            (r#"{"invitation": {"maxUses": 3000000000}}"#, "invitation.max_uses", "INVALID_FORMAT", "whole number"),
            (r#"{"invitation": {"ttl": 3600}}"#, "invitation.ttl", "INVALID_FORMAT", "\"3600s\""),
            (r#"{"invitation": {"expireTime": "tomorrow"}}"#, "invitation.expire_time", "INVALID_FORMAT", "2026"),
            (r#"{"invitation": {"labels": {"a": 1}}}"#, "invitation.labels", "INVALID_FORMAT", "object"),
            (r#"{"invitation": {"targets": {}}}"#, "invitation.targets", "INVALID_FORMAT", "list"),
            (r#"{"invitation": {"targets": [{"value": 7}]}}"#, "invitation.targets[0].value", "INVALID_FORMAT", "text"),
            (
                r#"{"invitation": {"targets": [{"type": "TYPE"}]}}"#,
                "invitation.targets[0].type",
                "UNKNOWN_VALUE",
                "TARGET_TYPE_EMAIL",
            ),
            (r#"{"invitation": 7}"#, "invitation", "INVALID_FORMAT", "object"),
            (r#"{"invitation": {"ttl": "60s", "never": {}}}"#, "invitation", "CONFLICTS", "excludes"),
            (r#"{"requestId": 7}"#, "request_id", "INVALID_FORMAT", "text"),
            (r#"{"validateOnly": "yes"}"#, "validate_only", "INVALID_FORMAT", "true or false"),
        ] {
            let status = refused("CreateInvitationRequest", json);
            let details = status.get_error_details();
            assert_eq!(details.error_info().unwrap().reason, "INVALID_FIELD", "{json}: {}", status.message());
            let violation = &details.bad_request().unwrap().field_violations[0];
            assert_eq!((violation.field.as_str(), violation.reason.as_str()), (path, rule), "{json}");
            assert!(violation.description.contains(words), "{json}: {}", violation.description);
            assert!(!status.message().contains("secret"), "{}", status.message());
        }
    }

    #[test]
    fn text_that_is_no_message_is_malformed() {
        for (json, words) in [
            ("", "line 1 column 0"),
            ("{", "line 1 column 1"),
            ("{\"requestId\": \"secret\",\n x}", "line 2 column 2"),
            ("[]", "object"),
            ("null", "object"),
            ("7", "object"),
            ("{} {}", "line 1 column 4"),
            ("\u{1}\u{ff}", "line 1"),
        ] {
            let status = refused("CreateInvitationRequest", json);
            let details = status.get_error_details();
            assert_eq!(details.error_info().unwrap().reason, "MALFORMED_MESSAGE", "{json}");
            assert!(status.message().contains(words) && !status.message().contains("secret"), "{}", status.message());
        }
    }

    #[test]
    fn values_are_counted_before_they_are_read() {
        assert_eq!(values(br#"{"a": [1, "x,{[\",", {}], "b": 2}"#), 6);
        let many = |count: usize| format!(r#"{{"invitation": {{"metadata": {{"a": [{}0]}}}}}}"#, "0,".repeat(count));
        let status = refused("CreateInvitationRequest", &many(MAX_VALUES));
        assert_eq!(status.get_error_details().error_info().unwrap().reason, "MESSAGE_TOO_LARGE");
        assert!(to_grpc(&descriptor("CreateInvitationRequest"), many(MAX_VALUES - 10).as_bytes()).is_ok());
        let deep = format!(r#"{{"invitation": {{"metadata": {{"a": {}1{}}}}}}}"#, "[".repeat(200), "]".repeat(200));
        assert_eq!(refused("CreateInvitationRequest", &deep).code(), Code::InvalidArgument);
    }
}
