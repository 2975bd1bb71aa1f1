//! Fields that the server does not know, as those of a newer release: every RPC refuses a request with one, wherever it is, and
//! changes nothing.

use prost::{decode_length_delimiter, encode_length_delimiter};
use prost_types::field_descriptor_proto::Type;
use tonic::Code;
use tonic_types::StatusExt as _;

use super::idempotency::effects;
use super::{raw, request};
use crate::support::build::messages;
use crate::support::database::TestDatabase;
use crate::support::expect::refused;
use crate::support::on_both;
use crate::support::service::Service;

on_both!(migrated: unknown_field_is_refused_wherever_it_is_and_changes_nothing);

/// Field 100 with the number 1.
const UNKNOWN: [u8; 3] = [0xa0, 0x06, 1];

fn key(number: u32) -> Vec<u8> {
    let mut bytes = Vec::new();
    encode_length_delimiter(usize::try_from(number << 3 | 2).unwrap(), &mut bytes).unwrap();
    bytes
}

fn wrapped(number: u32, inner: &[u8]) -> Vec<u8> {
    let mut bytes = key(number);
    encode_length_delimiter(inner.len(), &mut bytes).unwrap();
    [bytes, inner.to_vec()].concat()
}

/// The body with the unknown field in the message at some numbers, which is added where it is not there.
fn planted(body: &[u8], numbers: &[u32]) -> Vec<u8> {
    let Some((number, deeper)) = numbers.split_first() else { return [body, &UNKNOWN].concat() };
    let wanted = key(*number);
    let (mut rest, mut before) = (body, Vec::new());
    while !rest.is_empty() {
        let start = rest;
        let found = usize::try_from(number << 3 | 2).unwrap() == decode_length_delimiter(&mut rest).unwrap();
        let wire = start[0] & 7;
        let length = match wire {
            0 => {
                decode_length_delimiter(&mut rest).unwrap();
                0
            }
            1 => 8,
            5 => 4,
            _ => decode_length_delimiter(&mut rest).unwrap(),
        };
        let (inner, after) = rest.split_at(length);
        if found {
            assert!(start.starts_with(&wanted));
            return [before, wrapped(*number, &planted(inner, deeper)), after.to_vec()].concat();
        }
        rest = after;
        before.extend_from_slice(&start[..start.len() - rest.len()]);
    }
    [before, wrapped(*number, &planted(&[], deeper))].concat()
}

/// The paths of the messages in a request, with the numbers that lead to them; the request itself is the first.
fn places(rpc: &raw::Rpc) -> Vec<(String, Vec<u32>)> {
    let mut places = vec![(String::new(), Vec::new())];
    for input in raw::inputs(rpc) {
        let (mut names, mut numbers) = (input.path.as_str(), input.numbers.as_slice());
        if input.kind != Type::Message {
            let Some((outer, _)) = names.rsplit_once('.') else { continue };
            (names, numbers) = (outer, &numbers[..numbers.len() - 1]);
        }
        // An entry of a map has the path of its map.
        if names.split('.').count() == numbers.len() && !places.iter().any(|(known, _)| known == names) {
            places.push((names.to_owned(), numbers.to_vec()));
        }
    }
    places
}

/// A path without the places of the entries in it, on which the valid request decides.
fn without_indexes(path: &str) -> String {
    path.split('[').map(|part| part.split_once(']').map_or(part, |(_, rest)| rest)).collect()
}

async fn unknown_field_is_refused_wherever_it_is_and_changes_nothing(database: TestDatabase) {
    let service = Service::start(&database).await;
    let known = request::known(&service, None, messages::COMPANY).await;
    let before = effects(&service).await;
    let mut tried = 0;
    for rpc in raw::rpcs() {
        let (_, valid) = request::valid(&rpc.path, &known);
        for (path, numbers) in places(rpc) {
            let answer = request::call(&service, rpc, planted(&valid, &numbers)).await;
            let status = refused(answer, Code::InvalidArgument, "UNKNOWN_FIELD");
            let details = status.get_error_details();
            let field = &details.error_info().unwrap().metadata["field"];
            let wanted = if path.is_empty() { "100".to_owned() } else { format!("{path}.100") };
            assert_eq!(without_indexes(field), wanted, "{}", rpc.path);
            assert!(status.message().contains(field), "{}", status.message());
            tried += 1;
        }
    }
    assert!(tried > 110, "only {tried} places were tried");
    assert_eq!(effects(&service).await, before);
    service.stop().await;
}
