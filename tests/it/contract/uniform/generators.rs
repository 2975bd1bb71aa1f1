//! Rules for generated code: options of files, idempotency levels, names and numbers of enum values.

use prost_types::method_options::IdempotencyLevel;
use prost_types::{FileDescriptorProto, MethodOptions};

use super::{Rule, enum_mut, method_mut, methods};

pub(super) const RULES: &[Rule] = &[
    Rule {
        name: "options",
        check: options,
        planted: &[(
            |files| files[0].options.get_or_insert_default().java_multiple_files = None,
            "invitation/v1/access_service.proto has other options",
        )],
    },
    Rule {
        name: "idempotency",
        check: idempotency,
        planted: &[
            (|files| method_mut(files, "GetInvitation").options = None, "GetInvitation is IdempotencyUnknown"),
            (
                |files| {
                    let options = method_mut(files, "RevokeInvitation").options.get_or_insert_default();
                    options.set_idempotency_level(IdempotencyLevel::NoSideEffects);
                },
                "RevokeInvitation is NoSideEffects",
            ),
        ],
    },
    Rule {
        name: "enum values",
        check: enum_values,
        planted: &[
            (
                |files| enum_mut(files, "DeliveryState").value[0].name = Some("DELIVERY_STATE_UNKNOWN".to_owned()),
                "DeliveryState does not begin with DELIVERY_STATE_UNSPECIFIED = 0",
            ),
            (
                |files| enum_mut(files, "DeliveryState").value[2].name = Some("SENDING".to_owned()),
                "SENDING lacks the prefix DELIVERY_STATE_",
            ),
            (
                |files| enum_mut(files, "DeliveryState").value.swap(2, 3),
                "DeliveryState is not in the order of its numbers",
            ),
        ],
    },
];

fn options(files: &[FileDescriptorProto]) -> Vec<String> {
    let fits = |file: &&FileDescriptorProto| {
        let options = file.options.clone().unwrap_or_default();
        options.go_package() == "invitation/v1;invitationv1"
            && options.java_package() == "invitation.v1"
            && options.java_multiple_files()
            && options.csharp_namespace() == "Invitation.V1"
    };
    files.iter().filter(|file| !fits(file)).map(|file| format!("{} has other options", file.name())).collect()
}

/// Reads say that they are reads; those that take a token do not, since a client may put a read into a URL.
fn idempotency(files: &[FileDescriptorProto]) -> Vec<String> {
    let mut broken = Vec::new();
    for method in methods(files) {
        let level = method.options.as_ref();
        let level = level.map_or(IdempotencyLevel::IdempotencyUnknown, MethodOptions::idempotency_level);
        let reads = ["Get", "BatchGet", "List"].iter().any(|verb| method.name().starts_with(verb));
        if reads != (level == IdempotencyLevel::NoSideEffects) {
            broken.push(format!("{} is {level:?}", method.name()));
        }
    }
    broken
}

fn enum_values(files: &[FileDescriptorProto]) -> Vec<String> {
    let mut broken = Vec::new();
    for known in files.iter().flat_map(|file| &file.enum_type) {
        let prefix = format!("{}_", super::snake(known.name()).to_uppercase());
        let first = known.value.first().filter(|value| value.number() == 0);
        if first.is_none_or(|value| value.name() != format!("{prefix}UNSPECIFIED")) {
            broken.push(format!("{} does not begin with {prefix}UNSPECIFIED = 0", known.name()));
        }
        let other = known.value.iter().filter(|value| !value.name().starts_with(&prefix));
        broken.extend(other.map(|value| format!("{} lacks the prefix {prefix}", value.name())));
        if !known.value.is_sorted_by_key(prost_types::EnumValueDescriptorProto::number) {
            broken.push(format!("{} is not in the order of its numbers", known.name()));
        }
    }
    broken
}
