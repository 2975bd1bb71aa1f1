//! The proto files and the code agree.

use std::collections::{BTreeMap, BTreeSet};

use invitation_service::api::requests::RPCS;
use invitation_service::auth::permission::{Permission, Required, SELF};
use invitation_service::pb;
use invitation_service::pb::ErrorReason;
use prost_types::EnumValueDescriptorProto;

use super::raw;

#[test]
fn each_rpc_documents_the_permission_it_needs() {
    for rpc in raw::rpcs() {
        let (_, needed) = RPCS.iter().find(|(path, _)| *path == rpc.path).unwrap();
        let wanted = match needed {
            Required::Permission(permission) => format!("Permission: `{}`.", permission.name()),
            Required::PermissionOrSelf(permission, _) => format!("Permission: `{}`, or `{SELF}`.", permission.name()),
            Required::AnyCredential => "Permission: none, but a valid credential.".to_owned(),
        };
        assert!(rpc.comment.ends_with(&wanted), "{} says {:?}, not {wanted}", rpc.path, rpc.comment);
    }
}

#[test]
fn permission_has_one_name_and_is_used_or_documented() {
    let text: String = raw::files()
        .iter()
        .flat_map(|file| file.source_code_info.as_ref().unwrap().location.clone())
        .filter_map(|location| location.leading_comments)
        .collect();
    let mut names = BTreeSet::new();
    for permission in Permission::ALL {
        assert!(names.insert(permission.name()), "{permission:?}");
        assert_eq!(Permission::from_name(permission.name()), Some(vec![permission]));
        assert!(text.contains(&format!("`{}`", permission.name())), "{} is in no comment", permission.name());
    }
    assert_eq!(Permission::from_name("*").unwrap().len(), names.len());
    assert_eq!(Permission::from_name("invitations.none"), None);
}

#[test]
fn each_error_reason_documents_a_status_code_and_keeps_its_name() {
    let files = raw::files();
    let file = files.iter().find(|file| file.name().ends_with("error_reason.proto")).unwrap();
    let values = &file.enum_type[0].value;
    for (index, value) in values.iter().enumerate().skip(1) {
        let reason = ErrorReason::try_from(value.number()).unwrap();
        assert_eq!(reason.as_str_name(), value.name());
        let comment = raw::comment(file, &[5, 0, 2, index]);
        let code = comment.split('.').next().unwrap();
        assert!(crate::support::expect::code_named(code).is_some(), "{} begins with {code:?}", value.name());
    }
    assert!(values.is_sorted_by_key(EnumValueDescriptorProto::number), "the blocks are in order");
    assert!(values.len() > 20);
}

/// A token as `{:?}` must not show it.
const SECRET: &str = "inv_AQIBkgAAAAAAcACAAAAAAAAAAAAAAAAAc2VjcmV0c2VjcmV0c2U";

#[test]
fn debug_of_no_message_shows_a_token_or_a_link() {
    let token = || SECRET.to_owned();
    let uri = || format!("https://example.org/{SECRET}");
    let connection =
        || pb::ConnectionInvitation { invitation_token: token(), invitation_uri: uri(), ..Default::default() };
    let user = || pb::UserInvitation { invitation_token: token(), invitation_uri: uri(), ..Default::default() };
    let guest = || pb::GuestInvitation { invitation_token: token(), invitation_uri: uri(), ..Default::default() };
    let general = || pb::Invitation { invitation_token: token(), invitation_uri: uri(), ..Default::default() };
    let create = || crate::support::build::messages::general(general());
    let create_connection = crate::support::build::messages::creation(connection());
    let create_user = pb::CreateUserInvitationRequest { user_invitation: Some(user()), ..Default::default() };
    let create_guest = pb::CreateGuestInvitationRequest { guest_invitation: Some(guest()), ..Default::default() };
    let update_guest = pb::UpdateGuestInvitationRequest { guest_invitation: Some(guest()), ..Default::default() };
    let update_connection =
        pb::UpdateConnectionInvitationRequest { connection_invitation: Some(connection()), ..Default::default() };
    let update_user = pb::UpdateUserInvitationRequest { user_invitation: Some(user()), ..Default::default() };
    let update = pb::UpdateInvitationRequest { invitation: Some(general()), ..Default::default() };
    let connections =
        pb::ListConnectionInvitationsResponse { connection_invitations: vec![connection()], ..Default::default() };
    let users = pb::ListUserInvitationsResponse { user_invitations: vec![user()], ..Default::default() };
    let guests = pb::ListGuestInvitationsResponse { guest_invitations: vec![guest()], ..Default::default() };
    let all = pb::ListInvitationsResponse { invitations: vec![general()], ..Default::default() };
    let open = pb::ListOpenInvitationsResponse { invitations: vec![general()], ..Default::default() };
    let accepted = pb::AcceptInvitationResponse { invitation: Some(general()), ..Default::default() };
    let checking = pb::CheckAcceptanceRequest {
        access: Some(pb::check_acceptance_request::Access::Token(SECRET.to_owned())),
        email_proof: SECRET.to_owned(),
        ..Default::default()
    };
    let accepted_one = || pb::AcceptInvitationsResult { invitation: Some(general()), ..Default::default() };
    let accepted_all = pb::AcceptInvitationsResponse { results: vec![accepted_one()] };
    let got = pb::BatchGetInvitationsResponse { invitations: vec![general()] };
    let batch = pb::BatchCreateInvitationsRequest { requests: vec![create()], ..Default::default() };
    let batch_one = || pb::BatchCreateInvitationsResult {
        result: Some(pb::batch_create_invitations_result::Result::Invitation(general())),
    };
    let user_batch =
        pb::BatchCreateUserInvitationsRequest { requests: vec![create_user.clone()], ..Default::default() };
    let user_one = pb::BatchCreateUserInvitationsResult {
        result: Some(pb::batch_create_user_invitations_result::Result::UserInvitation(user())),
    };
    let user_all = pb::BatchCreateUserInvitationsResponse { results: vec![user_one.clone()] };
    let batch_all = pb::BatchCreateInvitationsResponse { results: vec![batch_one()] };
    let autojoin = pb::Autojoin { invitation: Some(general()), ..Default::default() };
    let recipient = || pb::Recipient { invitation_token: token(), invitation_uri: uri(), ..Default::default() };
    let recipients = pb::ListRecipientsResponse { recipients: vec![recipient()], ..Default::default() };
    let receipt = pb::VerifyReceiptRequest { receipt: token() };
    let received = pb::VerifyReceiptResponse { token: token(), email_proof: token(), ..Default::default() };
    let verified = pb::VerifyEmailResponse { email_proof: token(), ..Default::default() };
    let endpoint = || pb::WebhookEndpoint { secret: token(), ..Default::default() };
    let create_endpoint = pb::CreateWebhookEndpointRequest { webhook_endpoint: Some(endpoint()), ..Default::default() };
    let update_endpoint = pb::UpdateWebhookEndpointRequest { webhook_endpoint: Some(endpoint()), ..Default::default() };
    let endpoints = pb::ListWebhookEndpointsResponse { webhook_endpoints: vec![endpoint()], ..Default::default() };
    let api_key = || pb::ApiKey { key_string: token(), ..Default::default() };
    let create_key = pb::CreateApiKeyRequest { api_key: Some(api_key()), ..Default::default() };
    let update_key = pb::UpdateApiKeyRequest { api_key: Some(api_key()), ..Default::default() };
    let keys = pb::ListApiKeysResponse { api_keys: vec![api_key()], ..Default::default() };
    let entry = pb::AcceptInvitationsEntry { email_proof: token(), ..Default::default() };
    let entries = pb::AcceptInvitationsRequest { entries: vec![entry.clone()], ..Default::default() };
    let declined = pb::DeclineInvitationsResult {
        result: Some(pb::decline_invitations_result::Result::Invitation(general())),
        ..Default::default()
    };
    let declined_all = pb::DeclineInvitationsResponse { results: vec![declined.clone()] };
    let printed = BTreeMap::from([
        ("ApiKey", format!("{:?}", api_key())),
        ("CreateApiKeyRequest", format!("{create_key:?}")),
        ("UpdateApiKeyRequest", format!("{update_key:?}")),
        ("ListApiKeysResponse", format!("{keys:?}")),
        ("WebhookEndpoint", format!("{:?}", endpoint())),
        ("CreateWebhookEndpointRequest", format!("{create_endpoint:?}")),
        ("UpdateWebhookEndpointRequest", format!("{update_endpoint:?}")),
        ("ListWebhookEndpointsResponse", format!("{endpoints:?}")),
        ("ConnectionInvitation", format!("{:?}", connection())),
        ("UserInvitation", format!("{:#?}", user())),
        ("GuestInvitation", format!("{:?}", guest())),
        ("Invitation", format!("{:#?}", general())),
        ("PreviewInvitationRequest", format!("{:?}", crate::support::build::messages::preview(SECRET))),
        ("CheckAcceptanceRequest", format!("{checking:?}")),
        ("AcceptInvitationRequest", format!("{:?}", crate::support::build::messages::accept(SECRET, "ann"))),
        ("DeclineInvitationRequest", format!("{:?}", crate::support::build::messages::decline(SECRET))),
        ("RecordEngagementRequest", format!("{:?}", crate::support::build::messages::view(SECRET))),
        ("SendVerificationCodeRequest", format!("{:?}", super::codes::asking(SECRET, "ann@example.org"))),
        ("VerifyEmailRequest", format!("{:?}", super::codes::trying(SECRET, "ann@example.org", "123456"))),
        ("VerifyEmailResponse", format!("{verified:?}")),
        ("VerifyReceiptRequest", format!("{receipt:?}")),
        ("VerifyReceiptResponse", format!("{received:?}")),
        ("CreateConnectionInvitationRequest", format!("{create_connection:?}")),
        ("CreateUserInvitationRequest", format!("{create_user:?}")),
        ("CreateGuestInvitationRequest", format!("{create_guest:?}")),
        ("UpdateConnectionInvitationRequest", format!("{update_connection:?}")),
        ("UpdateUserInvitationRequest", format!("{update_user:?}")),
        ("UpdateInvitationRequest", format!("{update:?}")),
        ("UpdateGuestInvitationRequest", format!("{update_guest:?}")),
        ("CreateInvitationRequest", format!("{:?}", create())),
        ("BatchGetInvitationsResponse", format!("{got:?}")),
        ("BatchCreateInvitationsRequest", format!("{batch:?}")),
        ("BatchCreateInvitationsResult", format!("{:?}", batch_one())),
        ("BatchCreateInvitationsResponse", format!("{batch_all:?}")),
        ("BatchCreateUserInvitationsRequest", format!("{user_batch:?}")),
        ("BatchCreateUserInvitationsResult", format!("{user_one:?}")),
        ("BatchCreateUserInvitationsResponse", format!("{user_all:?}")),
        ("ListConnectionInvitationsResponse", format!("{connections:?}")),
        ("ListUserInvitationsResponse", format!("{users:?}")),
        ("ListGuestInvitationsResponse", format!("{guests:?}")),
        ("ListInvitationsResponse", format!("{all:?}")),
        ("ListOpenInvitationsResponse", format!("{open:?}")),
        ("AcceptInvitationResponse", format!("{accepted:?}")),
        ("AcceptInvitationsResult", format!("{:?}", accepted_one())),
        ("AcceptInvitationsResponse", format!("{accepted_all:?}")),
        ("Autojoin", format!("{autojoin:?}")),
        ("AcceptInvitationsEntry", format!("{entry:?}")),
        ("AcceptInvitationsRequest", format!("{entries:?}")),
        ("DeclineInvitationsResult", format!("{declined:?}")),
        ("DeclineInvitationsResponse", format!("{declined_all:?}")),
        ("Recipient", format!("{:?}", recipient())),
        ("ListRecipientsResponse", format!("{recipients:?}")),
    ]);
    // The list is complete: every message that has such a field, or a message that has one.
    let secret =
        ["token", "invitation_token", "invitation_uri", "email_proof", "client_key", "secret", "key_string", "receipt"];
    let messages: Vec<_> = raw::files().iter().flat_map(|file| &file.message_type).collect();
    let mut holders: BTreeSet<String> = BTreeSet::new();
    loop {
        let holds = |field: &prost_types::FieldDescriptorProto| {
            let inner = field.type_name().trim_start_matches(".invitation.v1.");
            secret.contains(&field.name()) || holders.contains(inner)
        };
        let found: BTreeSet<String> = messages
            .iter()
            .filter(|message| message.field.iter().any(holds))
            .map(|message| message.name().to_owned())
            .collect();
        if found == holders {
            break;
        }
        holders = found;
    }
    assert_eq!(printed.keys().map(|name| (*name).to_owned()).collect::<BTreeSet<_>>(), holders);
    for (message, text) in printed {
        assert!(!text.contains("inv_"), "{message}: {text}");
        assert!(!text.contains("c2VjcmV0"), "{message}: {text}");
        assert!(!text.contains("123456"), "{message}: {text}");
    }
}
