//! Rules of comments, which are the documentation that people read with reflection.

use invitation_service::pb::ErrorReason;
use prost_types::FileDescriptorProto;
use prost_types::field_descriptor_proto::Type;

use super::{Rule, messages, reword};
use crate::contract::raw;

pub(super) const RULES: &[Rule] = &[
    Rule {
        name: "RPCs",
        check: rpcs,
        planted: &[
            (
                |files| reword(files, "Errors: `EXPECTED_COUNT_EXCEEDED`. Permission", "Permission"),
                "RevokeInvitations does not end with an example, its errors and its permission",
            ),
            (
                |files| reword(files, "Errors: `EXPECTED_COUNT_EXCEEDED`.", "Errors: `TOO_MANY_ROWS`."),
                "RevokeInvitations names TOO_MANY_ROWS, which is no reason",
            ),
        ],
    },
    Rule {
        name: "services",
        check: services,
        planted: &[(
            |files| reword(files, "Start here: UpdateScopeSettings with", "Decides."),
            "ScopeService does not say where to start",
        )],
    },
    Rule {
        name: "fields",
        check: fields,
        planted: &[
            (
                |files| reword(files, "Output only. The acceptances.", "The acceptances."),
                "ListAcceptancesResponse.acceptances does not say who sets it",
            ),
            (
                |files| reword(files, "Output only. The acceptances.", "Output only. Which acceptances there are."),
                "ListAcceptancesResponse.acceptances begins with \"Which\"",
            ),
        ],
    },
    Rule {
        name: "texts",
        check: texts,
        planted: &[(
            |files| reword(files, "Only the acceptances by this subject, for example `user-42`", "The subject"),
            "ListAcceptancesRequest.subject shows no value",
        )],
    },
    Rule {
        name: "enums",
        check: enums,
        planted: &[(
            |files| reword(files, "The state of an acceptance. Values are added over time:", "The state:"),
            "AcceptanceState does not say how to treat other values",
        )],
    },
];

/// The words that begin a clause, not a sentence or a noun.
const CLAUSES: [&str; 14] = [
    "When", "Where", "Whether", "How", "What", "Who", "Which", "Why", "Whose", "Whom", "Until", "Since", "With",
    "Through",
];

fn rpcs(files: &[FileDescriptorProto]) -> Vec<String> {
    let mut broken = Vec::new();
    for file in files {
        for (at, service) in file.service.iter().enumerate() {
            for (index, method) in service.method.iter().enumerate() {
                let comment = raw::comment(file, &[6, at, 2, index]);
                let parts = ["Example: `", "Errors: ", "Permission: "].map(|part| comment.find(part));
                if parts.contains(&None) || !parts.is_sorted() {
                    broken
                        .push(format!("{} does not end with an example, its errors and its permission", method.name()));
                }
                let quoted = comment.split('`').skip(1).step_by(2);
                let upper =
                    |word: &&str| word.contains('_') && word.chars().all(|c| c.is_ascii_uppercase() || c == '_');
                let unknown = quoted.filter(upper).filter(|word| !is_known(word, files));
                broken.extend(unknown.map(|word| format!("{} names {word}, which is no reason", method.name())));
            }
        }
    }
    broken
}

/// Whether a word is a reason, or a value of an enum with or without its prefix.
fn is_known(word: &str, files: &[FileDescriptorProto]) -> bool {
    let values = files.iter().flat_map(|file| &file.enum_type).flat_map(|known| &known.value);
    let is_value = |value: &prost_types::EnumValueDescriptorProto| {
        value.name() == word || value.name().strip_suffix(word).is_some_and(|rest| rest.ends_with('_'))
    };
    ErrorReason::from_str_name(&format!("ERROR_REASON_{word}")).is_some() || values.into_iter().any(is_value)
}

fn services(files: &[FileDescriptorProto]) -> Vec<String> {
    let mut broken = Vec::new();
    for file in files {
        for (at, service) in file.service.iter().enumerate() {
            if !raw::comment(file, &[6, at]).contains("Start here:") {
                broken.push(format!("{} does not say where to start", service.name()));
            }
        }
    }
    broken
}

fn fields(files: &[FileDescriptorProto]) -> Vec<String> {
    let mut broken = Vec::new();
    for message in messages(files) {
        if message.comment().is_empty() {
            broken.push(format!("{} has no comment", message.descriptor.name()));
        }
        for (index, field) in message.descriptor.field.iter().enumerate() {
            let place = format!("{}.{}", message.descriptor.name(), field.name());
            let comment = message.comment_of(index);
            let begins = ["Required. ", "Optional. ", "Output only. ", "Input only. "];
            let Some(text) = begins.iter().find_map(|start| comment.strip_prefix(start)) else {
                broken.push(format!("{place} does not say who sets it"));
                continue;
            };
            let first = text.split(' ').next().unwrap_or_default();
            if CLAUSES.contains(&first) {
                broken.push(format!("{place} begins with {first:?}"));
            }
        }
    }
    broken
}

/// Each text shows a value that it can have, or names what it is copied from.
fn texts(files: &[FileDescriptorProto]) -> Vec<String> {
    let mut broken = Vec::new();
    for message in messages(files) {
        for (index, field) in message.descriptor.field.iter().enumerate() {
            if field.r#type() == Type::String && !message.comment_of(index).contains('`') {
                broken.push(format!("{}.{} shows no value", message.descriptor.name(), field.name()));
            }
        }
    }
    broken
}

fn enums(files: &[FileDescriptorProto]) -> Vec<String> {
    let mut broken = Vec::new();
    for file in files {
        for (at, known) in file.enum_type.iter().enumerate() {
            if !raw::comment(file, &[5, at]).contains("Values are added over time: ") {
                broken.push(format!("{} does not say how to treat other values", known.name()));
            }
        }
    }
    broken
}
