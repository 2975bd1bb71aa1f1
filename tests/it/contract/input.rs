//! Every RPC with bytes and texts that it cannot take. The RPCs and their fields come from the descriptors.

use std::collections::BTreeSet;

use bytes::Bytes;
use invitation_service::pb;
use prost_types::field_descriptor_proto::Type;
use tonic::{Code, Request};

use super::raw::{Input, Rpc};
use super::request::{Known, call};
use super::{raw, request};
use crate::support::build::messages;
use crate::support::database::TestDatabase;
use crate::support::expect::{reason, refused, violated};
use crate::support::service::Service;

/// The largest message there may be.
const MAX: usize = 1024 * 1024;

async fn start() -> (Service, Known, TestDatabase) {
    let database = TestDatabase::sqlite();
    let service = Service::start(&database).await;
    let known = request::known(&service, None, messages::COMPANY).await;
    (service, known, database)
}

#[tokio::test(crate = "crate::support::limit")]
async fn empty_message_names_every_required_field_at_once() {
    let (service, _, _database) = start().await;
    for rpc in raw::rpcs() {
        let required: BTreeSet<String> =
            raw::inputs(rpc).into_iter().filter(|input| input.required).map(|input| input.path).collect();
        let answer = call(&service, rpc, Vec::new()).await;
        if required.is_empty() {
            answer.unwrap_or_else(|status| panic!("{}: {status:?}", rpc.path));
            continue;
        }
        let status = refused(answer, Code::InvalidArgument, "INVALID_FIELD");
        assert_eq!(violated(&status).into_iter().collect::<BTreeSet<_>>(), required, "{}", rpc.path);
        assert!(required.iter().any(|field| status.message().starts_with(&format!("{field} "))));
        assert_eq!(status.message().ends_with(&format!("(and {} more)", required.len() - 1)), required.len() > 1);
    }
    service.stop().await;
}

#[tokio::test(crate = "crate::support::limit")]
async fn valid_request_is_what_the_refused_ones_are_made_of() {
    let database = TestDatabase::sqlite();
    let service = Service::start(&database).await;
    let mut known = request::known(&service, None, messages::COMPANY).await;
    for rpc in raw::reads_first() {
        if !rpc.reads {
            known = request::known(&service, None, messages::COMPANY).await;
        }
        let (_, message) = request::valid(&rpc.path, &known);
        call(&service, rpc, message).await.unwrap_or_else(|status| panic!("{}: {status:?}", rpc.path));
    }
    service.stop().await;
}

/// Whether a text is only noted: it is shortened, and put on one line, in place of being refused.
fn is_noted(rpc: &Rpc, input: &Input) -> bool {
    let noted = [
        ("/ReportDeliveryStatus", "detail"),
        ("/DeclineInvitation", "reason"),
        ("/SettleInvitations", "reason"),
        ("/ReleaseAcceptance", "reason"),
        ("/RecordEngagement", "source"),
    ];
    noted.iter().any(|(method, field)| rpc.path.contains(method) && input.path == *field)
}

/// The refusal of a text: its code, reason, fields and message.
type Refusal = ((Code, String), Vec<String>, String);

/// The refusal of a call or, where several things are answered each for itself, of the entry that was added to a valid request.
fn refusal(rpc: &Rpc, input: &Input, place: &str, answer: Result<Bytes, tonic::Status>) -> Refusal {
    let (in_entry, in_names) = (input.path.starts_with("entries."), input.path == "names");
    let answer = match answer {
        Err(status) => return (reason(&status), violated(&status), status.message().to_owned()),
        Ok(answer) => answer,
    };
    assert!((in_entry || in_names) && rpc.path.ends_with("Invitations"), "{place} was taken");
    let mut results = request::each(&rpc.path, &answer);
    let error = results.pop().expect(place).expect_err(place);
    let is_same =
        |other: &Result<_, Box<pb::BatchError>>| other.as_ref().is_err_and(|other| other.reason == error.reason);
    assert!(!results.iter().any(is_same), "{place}: it fails alone");
    let list = if in_entry { "entries" } else { "names" };
    let path = |field: &str| if in_entry { format!("{list}[{}].{field}", results.len()) } else { list.to_owned() };
    let fields = error.field_violations.iter().map(|broken| path(&broken.field)).collect();
    ((error.code.into(), error.reason), fields, error.message)
}

#[tokio::test(crate = "crate::support::limit")]
async fn control_character_in_any_text_is_refused_at_its_field() {
    let (service, known, _database) = start().await;
    let mut tried = 0;
    for rpc in raw::rpcs() {
        let (_, valid) = request::valid(&rpc.path, &known);
        let texts = raw::inputs(rpc).into_iter().filter(|input| input.kind == Type::String && !is_noted(rpc, input));
        for input in texts {
            for text in ["a\r\nb", "a\nb", "\0", "a\u{2028}b", "a\u{2029}b", "\u{1b}[2J", "\u{85}"] {
                let place = format!("{} {} {text:?}", rpc.path, input.path);
                let answer = call(&service, rpc, [valid.clone(), input.text(text)].concat()).await;
                let (reason, violated, message) = refusal(rpc, &input, &place, answer);
                tried += 1;
                if input.path == "token" {
                    // Nothing tells a malformed token from any other that does not count.
                    assert_eq!(reason, (Code::NotFound, "INVITATION_NOT_FOUND".to_owned()), "{place}");
                    continue;
                }
                assert_eq!(reason, (Code::InvalidArgument, "INVALID_FIELD".to_owned()), "{place}");
                assert!(violated.iter().any(|field| input.is_named_by(field)), "{place}: {violated:?}");
                assert!(!message.contains(text), "{place}: the value is not repeated");
            }
        }
    }
    assert!(tried > 200, "{tried} texts were tried");
    service.stop().await;
}

#[tokio::test(crate = "crate::support::limit")]
async fn every_text_has_an_upper_limit() {
    let (service, known, _database) = start().await;
    let long = "a".repeat(70_000);
    for rpc in raw::rpcs() {
        let (_, valid) = request::valid(&rpc.path, &known);
        let is_bounded = |input: &Input| input.kind == Type::String && input.path != "token" && !is_noted(rpc, input);
        for input in raw::inputs(rpc).into_iter().filter(is_bounded) {
            let answer = call(&service, rpc, [valid.clone(), input.text(&long)].concat()).await;
            let place = format!("{} {}", rpc.path, input.path);
            let (reason, violated, _) = refusal(rpc, &input, &place, answer);
            assert_eq!(reason, (Code::InvalidArgument, "INVALID_FIELD".to_owned()), "{place}");
            assert!(violated.iter().any(|field| input.is_named_by(field)), "{place}: {violated:?}");
        }
    }
    service.stop().await;
}

#[tokio::test(crate = "crate::support::limit")]
async fn enum_value_that_is_unknown_or_unspecified_is_refused() {
    let (service, known, _database) = start().await;
    let mut tried = 0;
    for rpc in raw::rpcs() {
        let (_, valid) = request::valid(&rpc.path, &known);
        for input in raw::inputs(rpc).into_iter().filter(|input| input.kind == Type::Enum) {
            // The last is -1 as protobuf writes it.
            let wrong = [0, 99, u64::MAX].into_iter().skip(input.has_default.into());
            for value in wrong {
                let answer = call(&service, rpc, [valid.clone(), input.number(value)].concat()).await;
                let place = format!("{} {} {value}", rpc.path, input.path);
                let status = answer.expect_err(&place);
                assert_eq!(reason(&status), (Code::InvalidArgument, "INVALID_FIELD".to_owned()), "{place}");
                let violated = violated(&status);
                assert!(violated.iter().any(|field| input.is_named_by(field)), "{place}: {violated:?}");
                tried += 1;
            }
        }
    }
    assert!(tried >= 15, "{tried} values were tried");
    service.stop().await;
}

#[tokio::test(crate = "crate::support::limit")]
async fn bytes_that_are_no_message_are_malformed_and_nothing_worse() {
    let (service, known, _database) = start().await;
    for rpc in raw::rpcs() {
        let (_, valid) = request::valid(&rpc.path, &known);
        let truncated = valid.get(..valid.len().saturating_sub(1)).unwrap_or_default().to_vec();
        // No field 1 is a group, and those that are texts are UTF-8.
        for bytes in [vec![0xff; 8], vec![0x0a, 0x05, 0x61], truncated, vec![0x0b], vec![0x0a, 0x02, 0xc3, 0x28]] {
            let place = format!("{} {bytes:?}", rpc.path);
            if bytes.is_empty() {
                continue;
            }
            let status = call(&service, rpc, bytes.clone()).await.expect_err(&place);
            let (code, reason) = reason(&status);
            // Some of these bytes are a message of some methods, with other fields than were meant.
            let expected = ["MALFORMED_MESSAGE", "INVALID_FIELD", "UNKNOWN_FIELD"];
            let told = code == Code::InvalidArgument && expected.contains(&reason.as_str());
            assert!(told, "{place}: {code:?} {reason}");
            if bytes[0] == 0xff {
                assert_eq!(reason, "MALFORMED_MESSAGE", "{place}");
            }
        }
    }
    service.stop().await;
}

#[tokio::test(crate = "crate::support::limit")]
async fn message_of_more_than_a_mebibyte_is_too_large_for_every_rpc() {
    let (service, known, _database) = start().await;
    for rpc in raw::rpcs() {
        let status = refused(call(&service, rpc, vec![0; MAX + 1]).await, Code::ResourceExhausted, "MESSAGE_TOO_LARGE");
        let details = tonic_types::StatusExt::get_error_details(&status);
        assert_eq!(details.error_info().unwrap().metadata["max_bytes"], MAX.to_string());
    }
    let rpc = raw::rpcs().iter().find(|rpc| rpc.path.ends_with("/GetInvitation")).unwrap();
    let (_, valid) = request::valid(&rpc.path, &known);
    let fill = |size: usize| {
        // Field 100, a text of the length that makes the whole message this long; the length takes three bytes.
        let length = size - valid.len() - 5;
        let mut message = valid.clone();
        message.extend([0xa2, 0x06]);
        prost::encoding::encode_varint(length as u64, &mut message);
        message.resize(size, b'a');
        message
    };
    assert_eq!(fill(MAX).len(), MAX);
    // A message of the largest size is read, as its unknown field shows.
    refused(call(&service, rpc, fill(MAX)).await, Code::InvalidArgument, "UNKNOWN_FIELD");
    refused(call(&service, rpc, fill(MAX + 1)).await, Code::ResourceExhausted, "MESSAGE_TOO_LARGE");
    service.stop().await;
}

#[tokio::test(crate = "crate::support::limit")]
async fn method_that_does_not_exist_is_unimplemented() {
    let (service, _, _database) = start().await;
    for path in [
        "/invitation.v1.InvitationService/Nothing",
        "/invitation.v1.InvitationService/",
        "/invitation.v1.NoService/GetInvitation",
        "/invitation.v1.RedemptionService/GetInvitation",
        "/invitation.v1.InvitationService/getInvitation",
    ] {
        let answer = raw::call(&service, path, Request::new(Bytes::new())).await;
        refused(answer, Code::Unimplemented, "UNIMPLEMENTED");
    }
    service.stop().await;
}
