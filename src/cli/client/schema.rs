//! The API as the compiled proto files have it: its methods, requests made of JSON, and the short words of its enums.
//!
//! The commands name methods and fields by text, so none of them knows a generated type. A name that does not exist is a defect,
//! which each command's test shows.

use prost_reflect::{DynamicMessage, EnumDescriptor, Kind, MessageDescriptor, MethodDescriptor};
use serde_json::Value;

use super::failure::Failure;
use crate::pb::{self, POOL};

/// Returns a method by its name, such as `EventService.ListEvents`.
pub(super) fn method(name: &str) -> Result<MethodDescriptor, Failure> {
    let found = name.split_once('.').and_then(|(service, method)| {
        let service = POOL.get_service_by_name(&format!("{}.{service}", pb::PACKAGE))?;
        service.methods().find(|known| known.name() == method)
    });
    found.ok_or_else(|| Failure::failed(format!("internal error: there is no method {name}")))
}

/// Makes a message of its JSON, in which enums may be written as short words.
pub(super) fn message(descriptor: MessageDescriptor, mut json: Value) -> Result<DynamicMessage, Failure> {
    expand_message(&descriptor, &mut json);
    DynamicMessage::deserialize(descriptor, json).map_err(|error| Failure::usage(error.to_string()))
}

/// Returns the short words of an enum, such as `active` for `INVITATION_STATE_ACTIVE`.
pub(super) fn words(name: &str) -> Vec<String> {
    let Some(known) = POOL.get_enum_by_name(&format!("{}.{name}", pb::PACKAGE)) else { return Vec::new() };
    known.values().filter(|value| value.number() != 0).map(|value| short(&known, value.name())).collect()
}

/// Returns the short word of a value; its number, if only a newer server knows it, and nothing, if it is not set.
pub(super) fn word(known: &EnumDescriptor, number: i32) -> String {
    match known.get_value(number) {
        _ if number == 0 => String::new(),
        Some(value) => short(known, value.name()),
        None => number.to_string(),
    }
}

fn short(known: &EnumDescriptor, value: &str) -> String {
    value.strip_prefix(&prefix(known)).unwrap_or(value).to_ascii_lowercase()
}

/// Returns the beginning of an enum's values: `INVITATION_STATE_` for `InvitationState`.
fn prefix(known: &EnumDescriptor) -> String {
    let mut prefix = String::new();
    for (index, character) in known.name().char_indices() {
        if character.is_ascii_uppercase() && index > 0 {
            prefix.push('_');
        }
        prefix.push(character.to_ascii_uppercase());
    }
    prefix + "_"
}

fn expand_message(descriptor: &MessageDescriptor, json: &mut Value) {
    let Value::Object(fields) = json else { return };
    // The JSON of Google's own messages is not that of their fields.
    if descriptor.package_name() != pb::PACKAGE {
        return;
    }
    for (name, value) in fields {
        let field = descriptor.get_field_by_name(name).or_else(|| descriptor.get_field_by_json_name(name));
        let Some(field) = field else { continue };
        match (field.kind(), value) {
            (Kind::Message(inner), Value::Array(values)) => {
                values.iter_mut().for_each(|value| expand_message(&inner, value));
            }
            (Kind::Message(inner), value) => expand_message(&inner, value),
            (Kind::Enum(known), Value::Array(values)) => values.iter_mut().for_each(|value| expand_word(&known, value)),
            (Kind::Enum(known), value) => expand_word(&known, value),
            _ => {}
        }
    }
}

fn expand_word(known: &EnumDescriptor, value: &mut Value) {
    let Value::String(word) = value else { return };
    let full = prefix(known) + &word.to_ascii_uppercase().replace('-', "_");
    if known.get_value_by_name(word).is_none() && known.get_value_by_name(&full).is_some() {
        *word = full;
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::cli::exit::Exit;

    #[test]
    fn every_enum_has_words_without_its_prefix() {
        assert_eq!(words("InvitationState"), ["active", "expired", "revoked", "declined", "fulfilled"]);
        for known in POOL.all_enums().filter(|known| known.package_name() == pb::PACKAGE) {
            assert!(known.values().all(|value| value.name().starts_with(&prefix(&known))), "{}", known.name());
            let words = words(known.name());
            assert!(!words.is_empty() && words.iter().all(|word| !word.contains(char::is_uppercase)), "{words:?}");
        }
    }

    #[test]
    fn request_takes_short_words_wherever_an_enum_is() {
        let method = method("InvitationService.CreateInvitation").unwrap();
        let json = json!({
            "invitation": {
                "targets": [{"type": "email", "value": "a@b.example"}, {"type": "TARGET_TYPE_PHONE", "value": "email"}],
                "invitationType": "multi-use", "metadata": {"type": "email"}, "labels": {"type": "email"},
            },
            "on_conflict": "return_existing",
        });
        let text = serde_json::to_value(message(method.input(), json).unwrap()).unwrap();
        let expected = json!({
            "invitation": {
                "targets": [
                    {"type": "TARGET_TYPE_EMAIL", "value": "a@b.example"},
                    {"type": "TARGET_TYPE_PHONE", "value": "email"},
                ],
                "invitationType": "INVITATION_TYPE_MULTI_USE", "metadata": {"type": "email"}, "labels": {"type": "email"},
            },
            "onConflict": "ON_CONFLICT_RETURN_EXISTING",
        });
        assert_eq!(text, expected);
    }

    #[test]
    fn field_or_word_that_does_not_exist_is_refused() {
        let input = || method("InvitationService.CreateInvitation").unwrap().input();
        for json in
            [json!({"invitatio": {}}), json!({"on_conflict": "panic"}), json!({"invitation": {"max_uses": "x"}})]
        {
            assert_eq!(message(input(), json).unwrap_err().exit(), Exit::Usage);
        }
    }
}
