//! An answer in JSON. The library takes some hundred times the memory of a message of many small values, so the entries of a list are
//! converted one at a time.

use std::collections::BTreeMap;

use prost::decode_length_delimiter;
use prost_reflect::{DynamicMessage, FieldDescriptor, Kind, MessageDescriptor};

use crate::server::codec::value_of;

/// Returns an answer in JSON; `None` if it is no message of the descriptor, which is a defect of this program.
pub(in crate::server::faces) fn of_answer(descriptor: &MessageDescriptor, message: &[u8]) -> Option<Vec<u8>> {
    // The JSON of Google's own messages is not that of their fields.
    let lists = if descriptor.package_name() == "google.protobuf" { Vec::new() } else { lists_of(descriptor) };
    let (mut entries, mut rest, mut left) = (BTreeMap::<u32, Vec<u8>>::new(), Vec::new(), message);
    while !left.is_empty() {
        let before = left;
        let key = decode_length_delimiter(&mut left).ok()?;
        let value = value_of(key & 7, &mut left)?;
        let list = lists.iter().find(|(list, _)| usize::try_from(list.number()).is_ok_and(|number| number == key >> 3));
        match (list, value) {
            (Some((list, inner)), Some(entry)) => {
                let json = entries.entry(list.number()).or_default();
                json.push(if json.is_empty() { b'[' } else { b',' });
                serde_json::to_writer(json, &DynamicMessage::decode(inner.clone(), entry).ok()?).ok()?;
            }
            _ => rest.extend_from_slice(before.get(..before.len().checked_sub(left.len())?)?),
        }
    }
    let mut json = serde_json::to_vec(&DynamicMessage::decode(descriptor.clone(), rest.as_slice()).ok()?).ok()?;
    for (list, _) in &lists {
        let Some(entries) = entries.remove(&list.number()) else { continue };
        // It is an object, whose end comes last.
        json.pop();
        if json.len() > 1 {
            json.push(b',');
        }
        serde_json::to_writer(&mut json, list.json_name()).ok()?;
        json.push(b':');
        json.extend_from_slice(&entries);
        json.extend_from_slice(b"]}");
    }
    Some(json)
}

/// Returns the fields that are lists of messages, and the messages in them.
fn lists_of(descriptor: &MessageDescriptor) -> Vec<(FieldDescriptor, MessageDescriptor)> {
    let list = |field: FieldDescriptor| match field.kind() {
        Kind::Message(inner) if field.is_list() => Some((field, inner)),
        _ => None,
    };
    descriptor.fields().filter_map(list).collect()
}

#[cfg(test)]
mod tests {
    use prost::Message as _;
    use serde_json::Value;

    use super::*;
    use crate::pb::{self, POOL};

    fn same(name: &str, message: &[u8]) -> Value {
        let descriptor = POOL.get_message_by_name(name).unwrap();
        let json: Value = serde_json::from_slice(&of_answer(&descriptor, message).unwrap()).unwrap();
        let whole = DynamicMessage::decode(descriptor, message).unwrap();
        assert_eq!(json, serde_json::to_value(&whole).unwrap(), "{name}");
        json
    }

    #[test]
    fn answer_is_that_of_the_library() {
        let shown = pb::Invitation {
            max_uses: Some(3),
            targets: vec![pb::Target::default(), pb::Target { value: "\"a\"".to_owned(), ..Default::default() }],
            labels: [("a".to_owned(), "b".to_owned())].into(),
            roles: vec!["x".to_owned(), "y".to_owned()],
            ..Default::default()
        };
        let json = same("invitation.v1.Invitation", &shown.encode_to_vec());
        assert_eq!(json["targets"].as_array().unwrap().len(), 2);
        for invitations in [vec![], vec![shown.clone()], vec![shown.clone(), pb::Invitation::default(), shown]] {
            for next_page_token in ["", "next"] {
                let next_page_token = next_page_token.to_owned();
                let page = pb::ListInvitationsResponse {
                    invitations: invitations.clone(),
                    next_page_token,
                    ..Default::default()
                };
                same("invitation.v1.ListInvitationsResponse", &page.encode_to_vec());
            }
        }
        assert_eq!(same("google.protobuf.Empty", &[]), serde_json::json!({}));
    }

    #[test]
    fn bytes_that_are_no_message_are_no_answer() {
        let descriptor = POOL.get_message_by_name("invitation.v1.ListInvitationsResponse").unwrap();
        for message in [&[0xff][..], &[0x0a, 5, 1], &[0x0a, 1, 0xff]] {
            assert!(of_answer(&descriptor, message).is_none(), "{message:?}");
        }
    }
}
