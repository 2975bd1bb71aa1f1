//! The bytes of requests, with the fields that callers fill.

use std::collections::BTreeMap;

use invitation_service::domain::secret::key_ring::KeyRing;
use invitation_service::domain::secret::token::{Claims, Token};
use invitation_service::pb;
use prost::Message;
use prost_types::value::Kind;
use prost_types::{Struct, Value};

/// The company of the connection invitations.
const COMPANY: &str = "01920000-0000-7000-8000-0000000000c0";

/// Returns the verified address of the n-th person.
pub(crate) fn address(number: u8) -> String {
    format!("person-{number}@example.org")
}

/// Returns a CreateConnectionInvitationRequest, for the n-th person and a colleague or, with `None`, for anybody.
pub(crate) fn create_connection(person: Option<u8>) -> Vec<u8> {
    let prefill = pb::Prefill {
        datasource: Some(pb::prefill::Datasource::DatasourceUri("https://utility.example/login".to_owned())),
        initial_site_ids: vec![COMPANY.to_owned()],
        utility_types: vec![pb::UtilityType::Electricity.into(), pb::UtilityType::Water.into()],
        country: "AT".to_owned(),
        connection_owner_email: "owner@example.org".to_owned(),
        data_collection_start_date: "2026-01-01".to_owned(),
    };
    let invitation = pb::ConnectionInvitation {
        company_id: COMPANY.to_owned(),
        allowed_emails: person
            .map_or_else(Vec::new, |number| vec![address(number), "colleague@example.org".to_owned()]),
        prefill: Some(prefill),
        inviter: Some(inviter()),
        scope_display_name: "Example Works".to_owned(),
        message: "Please connect the account of your utility.".to_owned(),
        locale: "de-AT".to_owned(),
        redirect_uri: "https://app.example/welcome".to_owned(),
        labels: labels(),
        metadata: Some(metadata()),
        ..Default::default()
    };
    let request = pb::CreateConnectionInvitationRequest {
        connection_invitation: Some(invitation),
        send_email: person.map(|_| true),
        request_id: "create-connection-1".to_owned(),
        ..Default::default()
    };
    request.encode_to_vec()
}

/// Returns a CreateInvitationRequest.
pub(crate) fn create_general() -> Vec<u8> {
    let target = |value: &str| pb::Target {
        r#type: pb::TargetType::Email.into(),
        value: value.to_owned(),
        display_name: "Jane Doe".to_owned(),
        ..Default::default()
    };
    let scope = |id: &str| pb::Scope { r#type: "team".to_owned(), id: id.to_owned(), display_name: id.to_owned() };
    let invitation = pb::Invitation {
        targets: vec![target("jane.doe@example.org"), target("j\u{fc}rgen+news@m\u{fc}nchen.example")],
        scope: Some(scope("blue")),
        groups: vec![scope("blue"), scope("green")],
        roles: vec!["editor".to_owned(), "viewer".to_owned()],
        inviter: Some(inviter()),
        message: "Come and join the team.".to_owned(),
        locale: "de-AT".to_owned(),
        redirect_uri: "https://app.example/welcome".to_owned(),
        labels: labels(),
        metadata: Some(metadata()),
        attributes: Some(metadata()),
        ..Default::default()
    };
    let request = pb::CreateInvitationRequest {
        invitation: Some(invitation),
        request_id: "create-1".to_owned(),
        ..Default::default()
    };
    request.encode_to_vec()
}

/// Returns an AcceptInvitationRequest of the n-th person.
pub(crate) fn accept(link: &Claims, ring: &KeyRing, number: u8) -> Vec<u8> {
    let token = Token::sign(link, ring).expect("a token");
    let acceptor = pb::Acceptor {
        subject: format!("subject-{number}"),
        email: address(number),
        email_verified: true,
        display_name: "Jane Doe".to_owned(),
        ..Default::default()
    };
    let request = pb::AcceptInvitationRequest {
        token: token.reveal().to_owned(),
        acceptor: Some(acceptor),
        request_id: format!("accept-{number}"),
        ..Default::default()
    };
    request.encode_to_vec()
}

fn inviter() -> pb::Inviter {
    pb::Inviter {
        user_id: "user-17".to_owned(),
        email: "ann@example.org".to_owned(),
        display_name: "Ann".to_owned(),
        avatar_uri: "https://app.example/ann.png".to_owned(),
    }
}

fn labels() -> BTreeMap<String, String> {
    [("team", "blue"), ("campaign", "spring")].map(|(key, value)| (key.to_owned(), value.to_owned())).into()
}

fn metadata() -> Struct {
    let text = |value: &str| Value { kind: Some(Kind::StringValue(value.to_owned())) };
    let number = Value { kind: Some(Kind::NumberValue(42.0)) };
    Struct { fields: [("order".to_owned(), number), ("origin".to_owned(), text("crm"))].into() }
}
