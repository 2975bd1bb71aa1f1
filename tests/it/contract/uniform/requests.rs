//! Rules of requests: the numbers of the common fields, pages, etags, masks.

use prost_types::field_descriptor_proto::{Label, Type};
use prost_types::{DescriptorProto, FileDescriptorProto, MethodDescriptorProto};

use super::{Rule, field, field_mut, message, messages, method_mut, methods, reads, short, snake, without_field};

pub(super) const RULES: &[Rule] = &[
    Rule {
        name: "common fields",
        check: common_fields,
        planted: &[
            (
                |files| field_mut(files, "ListInvitationsRequest", "page_size").number = Some(12),
                "ListInvitationsRequest.page_size = 12",
            ),
            (
                |files| field_mut(files, "ListInvitationsRequest", "filter").number = Some(14),
                "ListInvitationsRequest.filter = 14",
            ),
            (
                |files| field_mut(files, "RevokeInvitationRequest", "validate_only").set_type(Type::Int32),
                "RevokeInvitationRequest.validate_only = 15",
            ),
        ],
    },
    Rule {
        name: "lists",
        check: lists,
        planted: &[
            (|files| without_field(files, "ListEventsRequest", "order_by"), "ListEvents does not page"),
            (|files| without_field(files, "ListEventsResponse", "next_page_token"), "ListEvents does not page"),
        ],
    },
    Rule {
        name: "writes",
        check: writes,
        planted: &[(
            |files| without_field(files, "RevokeInvitationsRequest", "validate_only"),
            "RevokeInvitations has no validate_only",
        )],
    },
    Rule {
        name: "etags",
        check: etags,
        planted: &[
            (|files| without_field(files, "RevokeInvitationRequest", "etag"), "RevokeInvitation has no etag"),
            (|files| without_field(files, "WebhookEndpoint", "etag"), "UpdateWebhookEndpoint has no etag"),
        ],
    },
    Rule {
        name: "masks",
        check: masks,
        planted: &[
            (
                |files| without_field(files, "UpdateWebhookEndpointRequest", "update_mask"),
                "UpdateWebhookEndpoint is no update by a mask",
            ),
            (
                |files| method_mut(files, "UpdateWebhookEndpoint").name = Some("ChangeWebhookEndpoint".to_owned()),
                "ChangeWebhookEndpoint takes a mask",
            ),
            (
                |files| method_mut(files, "UpdateWebhookEndpoint").output_type = Some("UpdateResponse".to_owned()),
                "UpdateWebhookEndpoint is no update by a mask",
            ),
        ],
    },
    Rule {
        name: "same verbs",
        check: same_verbs,
        planted: &[(
            |files| field_mut(files, "ResendUserInvitationRequest", "ttl").number = Some(9),
            "Resend…Request.ttl has the numbers 4 and 9",
        )],
    },
    Rule {
        name: "responses",
        check: responses,
        planted: &[(
            |files| method_mut(files, "ListEvents").input_type = Some("ListInvitationsRequest".to_owned()),
            "ListEvents takes ListInvitationsRequest",
        )],
    },
];

/// The fields that requests have in common, with their numbers and types.
const COMMON: [(&str, i32, Type); 6] = [
    ("etag", 13, Type::String),
    ("request_id", 14, Type::String),
    ("validate_only", 15, Type::Bool),
    ("page_size", 13, Type::Int32),
    ("page_token", 14, Type::String),
    ("order_by", 15, Type::String),
];

/// The RPCs that cannot be asked only what they would do: a try of a code always counts, and a test of an endpoint is a
/// try itself, which leaves nothing that a retry could be answered from.
const ALWAYS_DONE: [&str; 3] = ["SendVerificationCode", "VerifyEmail", "TestWebhookEndpoint"];

/// The verbs whose requests are alike, whatever the kind of invitation.
const ALIKE: [&str; 3] = ["Create", "Resend", "Revoke"];

fn requests(files: &[FileDescriptorProto]) -> impl Iterator<Item = &DescriptorProto> {
    messages(files).map(|message| message.descriptor).filter(|message| message.name().ends_with("Request"))
}

fn writing(files: &[FileDescriptorProto]) -> impl Iterator<Item = (&MethodDescriptorProto, &DescriptorProto)> {
    let writing = methods(files).filter(|method| !reads(method) && !ALWAYS_DONE.contains(&method.name()));
    writing.filter_map(|method| Some((method, message(files, method.input_type())?)))
}

fn common_fields(files: &[FileDescriptorProto]) -> Vec<String> {
    let mut broken = Vec::new();
    for request in requests(files) {
        for field in &request.field {
            let fits = match COMMON.iter().find(|(name, ..)| *name == field.name()) {
                Some((_, number, kind)) => field.number() == *number && field.r#type() == *kind,
                None => !(13..=15).contains(&field.number()),
            };
            if !fits {
                broken.push(format!("{}.{} = {}", request.name(), field.name(), field.number()));
            }
        }
    }
    broken
}

fn lists(files: &[FileDescriptorProto]) -> Vec<String> {
    let lists = methods(files).filter(|method| method.name().starts_with("List"));
    let pages = |method: &&MethodDescriptorProto| {
        let request = message(files, method.input_type());
        let response = message(files, method.output_type());
        let asks = |name: &&str| request.is_some_and(|request| field(request, name).is_some());
        let rows = response.and_then(|response| response.field.first());
        ["page_size", "page_token", "order_by"].iter().all(asks)
            && rows.is_some_and(|rows| rows.label() == Label::Repeated)
            && response.is_some_and(|response| field(response, "next_page_token").is_some())
    };
    lists.filter(|method| !pages(method)).map(|method| format!("{} does not page", method.name())).collect()
}

fn writes(files: &[FileDescriptorProto]) -> Vec<String> {
    let mut broken = Vec::new();
    for (method, request) in writing(files) {
        let missing = ["request_id", "validate_only"].into_iter().filter(|name| field(request, name).is_none());
        broken.extend(missing.map(|field| format!("{} has no {field}", method.name())));
    }
    broken
}

/// A write that names one resource takes its etag; that of an update is in the resource.
fn etags(files: &[FileDescriptorProto]) -> Vec<String> {
    let mut broken = Vec::new();
    for (method, request) in writing(files) {
        let resource = method.name().strip_prefix("Update").and_then(|resource| message(files, resource));
        let named = field(request, "name").is_some().then_some(request);
        if resource.or(named).is_some_and(|holder| field(holder, "etag").is_none()) {
            broken.push(format!("{} has no etag", method.name()));
        }
    }
    broken
}

/// An update takes the resource and a mask and returns the resource (AIP-134); nothing else takes a mask.
fn masks(files: &[FileDescriptorProto]) -> Vec<String> {
    let mut broken = Vec::new();
    for (method, request) in writing(files) {
        let is_mask = |name: &str| name == ".google.protobuf.FieldMask";
        match method.name().strip_prefix("Update") {
            Some(resource) => {
                let taken = field(request, &snake(resource)).filter(|field| field.number() == 1);
                let fits = taken.is_some_and(|field| short(field.type_name()) == resource)
                    && field(request, "update_mask").is_some_and(|mask| is_mask(mask.type_name()))
                    && short(method.output_type()) == resource;
                if !fits {
                    broken.push(format!("{} is no update by a mask", method.name()));
                }
            }
            None if request.field.iter().any(|field| is_mask(field.type_name())) => {
                broken.push(format!("{} takes a mask", method.name()));
            }
            None => {}
        }
    }
    broken
}

/// A field of one name has one number in the requests of one verb about invitations.
fn same_verbs(files: &[FileDescriptorProto]) -> Vec<String> {
    let mut broken = Vec::new();
    for verb in ALIKE {
        let alike = requests(files).filter(|request| {
            request.name().strip_prefix(verb).is_some_and(|rest| rest.ends_with("InvitationRequest"))
        });
        let mut known: Vec<(&str, i32)> = Vec::new();
        for field in
            alike.filter(|request| request.name() != "CreateReconnectInvitationRequest").flat_map(|one| &one.field)
        {
            match known.iter().find(|(name, _)| *name == field.name()) {
                Some((name, number)) if *number != field.number() => {
                    broken.push(format!("{verb}…Request.{name} has the numbers {number} and {}", field.number()));
                }
                Some(_) => {}
                None => known.push((field.name(), field.number())),
            }
        }
    }
    broken
}

/// Each RPC has a request of its own, so that it can grow alone.
fn responses(files: &[FileDescriptorProto]) -> Vec<String> {
    let other = methods(files).filter(|method| short(method.input_type()) != format!("{}Request", method.name()));
    other.map(|method| format!("{} takes {}", method.name(), short(method.input_type()))).collect()
}
