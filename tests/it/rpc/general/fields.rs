//! The fields that the creator of a general invitation sets come back as they were sent.

use invitation_service::pb;
use invitation_service::pb::{InvitationStatus, TargetType};
use prost::Message as _;
use prost_types::value::Kind;
use prost_types::{ListValue, Struct, Value};
use tonic::Code;

use crate::support::build::messages;
use crate::support::build::messages::Expiring;
use crate::support::database::TestDatabase;
use crate::support::expect::{refused, violated};
use crate::support::on_both;
use crate::support::service::Service;

on_both!(
    migrated:
    every_field_comes_back_as_it_was_sent_byte_for_byte,
    target_without_email_gets_no_mail_and_returns_the_link,
);

fn object(fields: impl IntoIterator<Item = (&'static str, Value)>) -> Struct {
    Struct { fields: fields.into_iter().map(|(key, value)| (key.to_owned(), value)).collect() }
}

fn list(values: Vec<Value>) -> Value {
    Value { kind: Some(Kind::ListValue(ListValue { values })) }
}

fn inner(object: Struct) -> Value {
    Value { kind: Some(Kind::StructValue(object)) }
}

/// Numbers, texts and shapes that a careless way through JSON would change.
fn odd() -> Struct {
    let numbers = [-0.0, 0.0, 0.1, 1e300, -1e-300, f64::MAX, f64::MIN_POSITIVE, 5e-324, 9_007_199_254_740_993.0, 1.0];
    object([
        ("numbers", list(numbers.into_iter().map(Value::from).collect())),
        ("empty object", inner(object([]))),
        ("empty list", list(Vec::new())),
        ("nested", list(vec![list(vec![list(vec![inner(object([("", Value::from(true))]))])])])),
        ("null", Value { kind: Some(Kind::NullValue(0)) }),
        ("false", Value::from(false)),
        ("text", Value::from("\u{1f512} \"quoted\" \\ / <b> {{x}} %s \u{202e}".to_owned())),
        ("B", Value::from(1.0)),
        ("a", Value::from(2.0)),
        ("\u{e4}", Value::from("e\u{301}".to_owned())),
    ])
}

fn full() -> pb::Invitation {
    let text = |text: &str| text.to_owned();
    let group = |id: &str| pb::Scope { r#type: text("team"), id: text(id), display_name: text("Team") };
    let named = |r#type, value: &str| pb::Target {
        display_name: text("Jane <b>Doe</b>"),
        avatar_uri: text("https://example.org/a.png?x=1&y=\u{e4}#z"),
        ..messages::target(r#type, value)
    };
    pb::Invitation {
        invitation_type: pb::InvitationType::SingleUse.into(),
        targets: vec![
            named(TargetType::Email, "Jane.Doe+x@Ex\u{e4}mple.org"),
            named(TargetType::Phone, "+4930123456"),
            named(TargetType::Internal, "user 1/\u{1f512}"),
            named(TargetType::Share, ""),
            named(TargetType::Share, "the notice board"),
        ],
        recipient_match: pb::RecipientMatch::Domain.into(),
        inviter: Some(pb::Inviter {
            user_id: text("u-1"),
            email: text("Bob@Example.org"),
            display_name: text("Bob"),
            avatar_uri: text("http://example.org/"),
        }),
        groups: vec![group("g-2"), group("g-1")],
        scope: Some(pb::Scope { display_name: text("The site"), ..messages::scope("site", "s-1") }),
        roles: vec![text("owner"), text("a reader")],
        source: text("widget"),
        subtype: text("friend"),
        widget_configuration_id: text("w-1"),
        deployment_id: text("d-1"),
        project_id: text("p-1"),
        labels: [(text("stage"), String::new()), (text("\u{1f512}"), text("%_'\"\\"))].into(),
        attributes: Some(odd()),
        configuration_attributes: Some(object([])),
        metadata: Some(odd()),
        message: text("Looking forward to it!"),
        locale: text("de-AT"),
        redirect_uri: text("https://app.example/welcome?from=invitation#top"),
        template_variables: [(text("name"), text("{{ Jane }}")), (text("empty"), String::new())].into(),
        unfurl_config: Some(pb::UnfurlConfig {
            title: text("Join <us>"),
            description: text("Now"),
            image_uri: text("https://example.org/i.png"),
            r#type: text("website"),
            site_name: text("Example"),
        }),
        pass_through: format!("{}\u{1f512}", "x".repeat(4_095)),
        max_uses: Some(1),
        expiration: messages::at(86_400).map(pb::invitation::Expiration::ExpireTime),
        ..Default::default()
    }
}

async fn every_field_comes_back_as_it_was_sent_byte_for_byte(database: TestDatabase) {
    let service = Service::start(&database).await;
    let sent = full();
    let made =
        service.invitations().create_invitation(messages::general(sent.clone())).await.unwrap().into_inner().read();
    let read = messages::get_general(&service, &made.name).await;
    assert_eq!(read.encode_to_vec(), made.encode_to_vec());
    // The fields that the service adds are taken away again.
    let bare = pb::Invitation {
        name: String::new(),
        uid: String::new(),
        kind: 0,
        typed_name: String::new(),
        account: String::new(),
        state: 0,
        status: 0,
        delivery_channels: Vec::new(),
        delivery_count: 0,
        recipient_count: 0,
        creator: String::new(),
        invitation_token: String::new(),
        invitation_uri: String::new(),
        token_visibility: 0,
        mailed: false,
        archived: None,
        last_delivery_state: 0,
        updater: String::new(),
        create_time: None,
        update_time: None,
        etag: String::new(),
        ..read.clone()
    };
    assert_eq!((&bare.attributes, &bare.metadata), (&sent.attributes, &sent.metadata));
    assert_eq!((&bare.targets, &bare.unfurl_config), (&sent.targets, &sent.unfurl_config));
    assert_eq!(bare.encode_to_vec(), sent.encode_to_vec());
    assert_eq!((&read.typed_name, &read.name), (&made.name, &made.name));
    assert_eq!((read.delivery_count, read.status()), (1, InvitationStatus::Queued));

    let plain = service.invitations().create_invitation(messages::general(pb::Invitation::default())).await;
    let plain = plain.unwrap().into_inner();
    assert_eq!(plain.expire_time(), messages::at(30 * 24 * 3_600), "thirty days");
    assert_eq!((plain.source.as_str(), plain.scope, plain.max_uses), ("api", None, Some(1)));
    assert_eq!((plain.attributes, plain.unfurl_config, plain.inviter), (None, None, None));
    service.stop().await;
}

#[tokio::test(crate = "crate::support::limit")]
async fn unusable_json_object_is_refused_at_its_field() {
    let database = TestDatabase::sqlite();
    let service = Service::start(&database).await;
    let of = |value: Value| object([("key", value)]);
    let control = || Value::from("a\nb".to_owned());
    // `{"key":"..."}` has 10 bytes beside the text.
    let long = |bytes: usize| of(Value::from("x".repeat(bytes - 10)));
    for wrong in [
        of(Value::from(f64::NAN)),
        of(list(vec![Value::from(f64::INFINITY)])),
        of(inner(of(Value::from(f64::NEG_INFINITY)))),
        of(control()),
        object([("a\r\nb", Value::from(1.0))]),
        of(list(vec![inner(object([("\u{2028}", Value::from(1.0))]))])),
        long(16 * 1_024 + 1),
    ] {
        for field in ["attributes", "configuration_attributes", "metadata"] {
            let given = |name: &str| Some(wrong.clone()).filter(|_| name == field);
            let invitation = pb::Invitation {
                attributes: given("attributes"),
                configuration_attributes: given("configuration_attributes"),
                metadata: given("metadata"),
                ..Default::default()
            };
            let answer = service.invitations().create_invitation(messages::general(invitation)).await;
            let status = refused(answer, Code::InvalidArgument, "INVALID_FIELD");
            assert_eq!(violated(&status), [format!("invitation.{field}")]);
        }
    }
    let just = pb::Invitation { metadata: Some(long(16 * 1_024)), ..Default::default() };
    let made = service.invitations().create_invitation(messages::general(just)).await.unwrap().into_inner();
    assert_eq!(made.metadata, Some(long(16 * 1_024)));
    service.stop().await;
}

async fn target_without_email_gets_no_mail_and_returns_the_link(database: TestDatabase) {
    let service = Service::start(&database).await;
    for (r#type, value) in
        [(TargetType::Phone, "+4930123456"), (TargetType::Internal, "u-1"), (TargetType::Share, "board")]
    {
        let invitation = pb::Invitation { targets: vec![messages::target(r#type, value)], ..Default::default() };
        let made = service.invitations().create_invitation(messages::general(invitation.clone())).await;
        let made = made.unwrap().into_inner();
        assert_eq!((made.status(), made.delivery_count), (InvitationStatus::Shared, 0), "{value}");
        assert!(made.delivery_channels.is_empty());
        assert!(made.invitation_uri.ends_with(&made.invitation_token) && !made.invitation_token.is_empty());
        let mailed = pb::CreateInvitationRequest { send_email: Some(true), ..messages::general(invitation) };
        let answer = service.invitations().create_invitation(mailed).await;
        assert_eq!(violated(&refused(answer, Code::InvalidArgument, "INVALID_FIELD")), ["send_email"]);
    }
    let email =
        pb::Invitation { targets: vec![messages::target(TargetType::Email, "a@example.org")], ..Default::default() };
    let unsent = pb::CreateInvitationRequest { send_email: Some(false), ..messages::general(email) };
    let made = service.invitations().create_invitation(unsent).await.unwrap().into_inner();
    assert_eq!((made.status(), made.delivery_count), (InvitationStatus::Shared, 0));
    service.stop().await;
}
