//! Rules of resources: a name can be got, and what the kinds share is the same in each.

use prost_types::{DescriptorProto, FieldDescriptorProto, FileDescriptorProto};

use super::{Message, Rule, field_mut, message, messages, method_mut, methods, short};

pub(super) const RULES: &[Rule] = &[
    Rule {
        name: "names",
        check: names,
        planted: &[
            (
                |files| method_mut(files, "GetRecipient").name = Some("FindRecipient".to_owned()),
                "Recipient has a name and no Get",
            ),
            (
                |files| method_mut(files, "GetEvent").output_type = Some("GetEventResponse".to_owned()),
                "Event has a name and no Get",
            ),
        ],
    },
    Rule {
        name: "shared fields",
        check: shared_fields,
        planted: &[
            (
                |files| field_mut(files, "UserInvitation", "locale").number = Some(99),
                "UserInvitation has no field like Invitation.locale = 23",
            ),
            (
                |files| field_mut(files, "GuestInvitation", "create_time").name = Some("created_at".to_owned()),
                "GuestInvitation has no field like Invitation.create_time = 38",
            ),
        ],
    },
];

const TYPED: [&str; 3] = ["ConnectionInvitation", "UserInvitation", "GuestInvitation"];
/// The numbers of the fields that all kinds have: name to `never`, and the words, the link, the times and the outcome.
const SHARED: [std::ops::RangeInclusive<i32>; 3] = [1..=6, 20..=43, 70..=72];

/// Whether messages of this type have a name of their own: no request, no answer, no entry of either.
fn has_name(message: &Message<'_>) -> bool {
    let kinds = ["Request", "Response", "Entry", "Result"];
    let is_part = kinds.iter().any(|kind| message.descriptor.name().ends_with(kind));
    let name = message.descriptor.field.iter().position(|field| field.name() == "name");
    !is_part && name.is_some()
}

fn names(files: &[FileDescriptorProto]) -> Vec<String> {
    let mut broken = Vec::new();
    for resource in messages(files).filter(has_name).map(|message| message.descriptor.name()) {
        let get = format!("Get{resource}");
        let found = methods(files).find(|method| method.name() == get);
        if found.is_none_or(|method| short(method.output_type()) != resource) {
            broken.push(format!("{resource} has a name and no Get"));
        }
    }
    broken
}

fn shared_fields(files: &[FileDescriptorProto]) -> Vec<String> {
    let Some(general) = message(files, "Invitation") else { return vec!["there is no Invitation".to_owned()] };
    let mut broken = Vec::new();
    for kind in TYPED.iter().filter_map(|kind| message(files, kind)) {
        // The entries of a map are a type of each message.
        let shape = |field: &FieldDescriptorProto| {
            let type_name = short(field.type_name()).to_owned();
            (field.name().to_owned(), field.number(), field.r#type(), field.label(), type_name)
        };
        let alike = |wanted: &FieldDescriptorProto, message: &DescriptorProto| {
            message.field.iter().any(|field| shape(field) == shape(wanted))
        };
        let shared = general.field.iter().filter(|field| SHARED.iter().any(|range| range.contains(&field.number())));
        for field in shared.filter(|field| !alike(field, kind)) {
            broken.push(format!("{} has no field like Invitation.{} = {}", kind.name(), field.name(), field.number()));
        }
    }
    broken
}
