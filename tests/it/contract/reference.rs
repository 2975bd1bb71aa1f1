//! The reference `docs/api.md`, which is generated from the proto files. `UPDATE_DOCS=1` writes it anew.

use std::collections::BTreeSet;
use std::fmt::Write as _;

use invitation_service::pb::ErrorReason;
use prost_types::field_descriptor_proto::{Label, Type};
use prost_types::{DescriptorProto, EnumDescriptorProto, FieldDescriptorProto, FileDescriptorProto};

use super::raw;

const PATH: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/docs/api.md");

const HEAD: &str = "# Reference of the API

This page is generated from the proto files in `proto/invitation/v1`; `UPDATE_DOCS=1 cargo test --test it -- reference` writes it anew. The same
text is shown by `grpcurl describe`.
";

/// The reasons for which any RPC can fail, and which none names by itself.
const OF_ANY: [&str; 13] = [
    "MALFORMED_MESSAGE",
    "UNKNOWN_FIELD",
    "INVALID_FIELD",
    "UNAUTHENTICATED",
    "PERMISSION_DENIED",
    "ORGANIZATION_ACCESS_DENIED",
    "MESSAGE_TOO_LARGE",
    "RATE_LIMITED",
    "UNAVAILABLE",
    "DEADLINE_EXCEEDED",
    "CANCELLED",
    "UNIMPLEMENTED",
    "INTERNAL",
];

/// The further reasons for which any write can fail, and which none names by itself.
const OF_ANY_WRITE: [&str; 2] = ["REQUEST_ID_REUSED", "CONFLICT"];

/// The reason for which any request with an etag can fail.
const OF_ANY_ETAG: [&str; 1] = ["ETAG_MISMATCH"];

/// Returns whether an RPC may fail for a reason: its comment names it, or every RPC may.
pub(crate) fn documents(rpc_comment: &str, reason: &str) -> bool {
    let common = [OF_ANY.as_slice(), &OF_ANY_WRITE, &OF_ANY_ETAG];
    common.iter().any(|reasons| reasons.contains(&reason)) || named(rpc_comment).contains(reason)
}

/// Returns the reasons that a comment names, each in backquotes.
fn named(comment: &str) -> BTreeSet<&str> {
    let known = |word: &&str| ErrorReason::from_str_name(&format!("ERROR_REASON_{word}")).is_some();
    comment.split('`').skip(1).step_by(2).filter(known).collect()
}

#[test]
fn reference_says_what_the_protos_say() {
    let wanted = reference();
    if std::env::var("UPDATE_DOCS").is_ok_and(|value| value == "1") {
        std::fs::write(PATH, &wanted).unwrap();
    }
    let found = std::fs::read_to_string(PATH).unwrap_or_default();
    let line = wanted.lines().zip(found.lines()).position(|(wanted, found)| wanted != found);
    assert!(
        wanted == found,
        "docs/api.md differs from line {:?} on: write it with UPDATE_DOCS=1",
        line.map(|at| at + 1)
    );
}

#[test]
fn reference_has_every_rpc_message_and_value() {
    let text = reference();
    for rpc in raw::rpcs() {
        let method = rpc.path.rsplit('/').next().unwrap();
        assert!(text.contains(&format!("### {method}\n")), "{method}");
    }
    for file in raw::files() {
        for message in &file.message_type {
            assert!(text.contains(&format!(" {}\n", message.name())), "{}", message.name());
        }
        for value in file.enum_type.iter().flat_map(|known| &known.value) {
            assert!(text.contains(&format!("| `{}` |", value.name())), "{}", value.name());
        }
    }
    assert!(!documents("Gets it. Permission: `invitations.read`.", "INVITATION_EXISTS"), "an unnamed reason is found");
}

fn reference() -> String {
    let (any, write, etag) = (listed(&OF_ANY), listed(&OF_ANY_WRITE), listed(&OF_ANY_ETAG));
    let mut text = format!(
        "{HEAD}
Every RPC can fail for the reasons that are common to all: {any}; every write also for {write}, and every request with an etag for {etag}. The \
         others are named with the RPC, and explained under [ErrorReason](#errorreason).
"
    );
    let files = raw::files();
    for file in files {
        for (at, service) in file.service.iter().enumerate() {
            writeln!(text, "\n## {}\n\n{}", service.name(), paragraphs(file, &[6, at])).unwrap();
            for (index, method) in service.method.iter().enumerate() {
                let (input, output) = (short(method.input_type()), short(method.output_type()));
                let stream = if method.server_streaming() { "stream " } else { "" };
                writeln!(text, "\n### {}\n\n{}\n", method.name(), paragraphs(file, &[6, at, 2, index])).unwrap();
                writeln!(text, "Takes [{input}](#{}), returns {stream}{}.", anchor(&input), link(&output)).unwrap();
            }
        }
    }
    text.push_str("\n# Messages\n");
    for file in files {
        for (at, message) in file.message_type.iter().enumerate() {
            writeln!(text, "\n## {}\n\n{}\n", message.name(), paragraphs(file, &[4, at])).unwrap();
            fields(&mut text, file, at, message);
        }
    }
    text.push_str("\n# Enums\n");
    for file in files {
        for (at, values) in file.enum_type.iter().enumerate() {
            writeln!(text, "\n## {}\n\n{}\n", values.name(), paragraphs(file, &[5, at])).unwrap();
            enum_values(&mut text, file, at, values);
        }
    }
    text
}

/// Returns a list of reasons as a sentence has it.
fn listed(reasons: &[&str]) -> String {
    let quoted: Vec<_> = reasons.iter().map(|reason| format!("`{reason}`")).collect();
    match quoted.split_last() {
        Some((last, first)) if !first.is_empty() => format!("{} and {last}", first.join(", ")),
        _ => quoted.concat(),
    }
}

fn fields(text: &mut String, file: &FileDescriptorProto, at: usize, message: &DescriptorProto) {
    if message.field.is_empty() {
        text.push_str("It has no fields.\n");
        return;
    }
    text.push_str("| Field | Type | Description |\n|---|---|---|\n");
    for (index, field) in message.field.iter().enumerate() {
        let comment = raw::comment(file, &[4, at, 2, index]);
        let group = field.oneof_index.filter(|_| !field.proto3_optional());
        let group = group.and_then(|group| message.oneof_decl.get(usize::try_from(group).ok()?));
        let group = group.map(|group| format!(" (one of `{}`)", group.name())).unwrap_or_default();
        let cell = comment.replace('|', "\\|");
        writeln!(text, "| `{}` = {} | {}{group} | {cell} |", field.name(), field.number(), type_of(message, field))
            .unwrap();
    }
}

fn enum_values(text: &mut String, file: &FileDescriptorProto, at: usize, values: &EnumDescriptorProto) {
    text.push_str("| Value | Number | Description |\n|---|---|---|\n");
    for (index, value) in values.value.iter().enumerate() {
        let comment = raw::comment(file, &[5, at, 2, index]).replace('|', "\\|");
        writeln!(text, "| `{}` | {} | {comment} |", value.name(), value.number()).unwrap();
    }
}

fn type_of(message: &DescriptorProto, field: &FieldDescriptorProto) -> String {
    let single = |field: &FieldDescriptorProto| match field.r#type() {
        Type::Message | Type::Enum => link(&short(field.type_name())),
        kind => format!("{kind:?}").to_lowercase(),
    };
    if let Some(entry) =
        message.nested_type.iter().find(|entry| field.type_name().ends_with(&format!(".{}", entry.name())))
        && let [key, value] = entry.field.as_slice()
    {
        return format!("map of {} to {}", single(key), single(value));
    }
    match (field.label(), field.proto3_optional()) {
        (Label::Repeated, _) => format!("repeated {}", single(field)),
        (_, true) => format!("optional {}", single(field)),
        _ => single(field),
    }
}

/// Returns the name of a type of this package, or the full name of another.
fn short(name: &str) -> String {
    name.trim_start_matches(".invitation.v1.").trim_start_matches('.').to_owned()
}

fn link(name: &str) -> String {
    if name.contains('.') { format!("`{name}`") } else { format!("[{name}](#{})", anchor(name)) }
}

fn anchor(name: &str) -> String {
    name.to_lowercase()
}

/// Returns a comment with its paragraphs, each on one line.
fn paragraphs(file: &FileDescriptorProto, path: &[usize]) -> String {
    let locations = &file.source_code_info.as_ref().unwrap().location;
    let same = |at: &[i32]| at.iter().map(|part| usize::try_from(*part).unwrap()).eq(path.iter().copied());
    let found = locations.iter().find(|location| same(&location.path));
    let text = found.and_then(|location| location.leading_comments.clone()).unwrap_or_default();
    let trimmed = text.lines().map(str::trim).collect::<Vec<_>>().join("\n");
    trimmed.trim().split("\n\n").map(|part| part.replace('\n', " ")).collect::<Vec<_>>().join("\n\n")
}
