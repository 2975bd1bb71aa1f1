//! The limits of what a connection invitation may hold.

use invitation_service::pb;
use invitation_service::pb::ConnectionInvitation;
use prost_types::Duration;
use tonic::Code;

use crate::support::build::messages;
use crate::support::database::TestDatabase;
use crate::support::expect::{refused, violated};
use crate::support::service::Service;

fn with_ttl(seconds: i64, nanos: i32) -> ConnectionInvitation {
    ConnectionInvitation {
        expiration: Some(pb::connection_invitation::Expiration::Ttl(Duration { seconds, nanos })),
        ..messages::invitation()
    }
}

fn with_uses(max_uses: i32) -> ConnectionInvitation {
    ConnectionInvitation { max_uses: Some(max_uses), ..messages::invitation() }
}

fn with_labels(labels: impl IntoIterator<Item = (String, String)>) -> ConnectionInvitation {
    ConnectionInvitation { labels: labels.into_iter().collect(), ..messages::invitation() }
}

fn with_emails(count: usize) -> ConnectionInvitation {
    let allowed_emails = (0..count).map(|number| format!("person-{number}@example.org")).collect();
    ConnectionInvitation { allowed_emails, ..messages::invitation() }
}

fn with_prefill(prefill: pb::Prefill) -> ConnectionInvitation {
    ConnectionInvitation { prefill: Some(prefill), ..messages::invitation() }
}

fn with_url(url: &str) -> ConnectionInvitation {
    with_prefill(pb::Prefill {
        datasource: Some(pb::prefill::Datasource::DatasourceUri(url.to_owned())),
        ..Default::default()
    })
}

fn many_labels(count: usize) -> ConnectionInvitation {
    with_labels((0..count).map(|number| (format!("key-{number}"), String::new())))
}

#[tokio::test(crate = "crate::support::limit")]
async fn value_beyond_a_limit_is_refused_at_its_field() {
    let database = TestDatabase::sqlite();
    let service = Service::start(&database).await;
    let one = |key: &str, value: &str| with_labels([(key.to_owned(), value.to_owned())]);
    let site = || messages::COMPANY.to_owned();
    let prefill = pb::Prefill::default;
    let company = |company_id: &str| ConnectionInvitation { company_id: company_id.to_owned(), ..Default::default() };
    let cases: Vec<(ConnectionInvitation, &str)> = vec![
        (with_emails(1_001), "allowed_emails"),
        (many_labels(65), "labels"),
        (one("", "value"), "labels"),
        (one(&"\u{e9}".repeat(64), "value"), "labels"),
        (one("key", &"\u{e9}".repeat(256)), "labels"),
        (with_ttl(59, 999_999_999), "ttl"),
        (with_ttl(0, 0), "ttl"),
        (with_ttl(-60, 0), "ttl"),
        (with_ttl(60, -1), "ttl"),
        (with_ttl(60, 1_000_000_000), "ttl"),
        (with_ttl(61, i32::MIN), "ttl"),
        (with_ttl(100 * 31_557_600, 1_000), "ttl"),
        (with_ttl(315_576_000_001, 0), "ttl"),
        (with_ttl(i64::MAX, 999_999_999), "ttl"),
        (with_ttl(i64::MIN, 0), "ttl"),
        (with_uses(0), "max_uses"),
        (with_uses(-1), "max_uses"),
        (with_uses(i32::MIN), "max_uses"),
        (company("no uuid"), "company_id"),
        (company("01920000000070008000000000000000"), "company_id"),
        (company("{01920000-0000-7000-8000-000000000000}"), "company_id"),
        (company("urn:uuid:01920000-0000-7000-8000-000000000000"), "company_id"),
        (ConnectionInvitation { connection_id: site(), ..messages::invitation() }, "connection_id"),
        (with_prefill(pb::Prefill { initial_site_ids: vec![site(); 101], ..prefill() }), "prefill.initial_site_ids"),
        (with_prefill(pb::Prefill { utility_types: vec![1; 11], ..prefill() }), "prefill.utility_types"),
        (with_prefill(pb::Prefill { country: "XX".to_owned(), ..prefill() }), "prefill.country"),
        (with_prefill(pb::Prefill { country: "de".to_owned(), ..prefill() }), "prefill.country"),
        (
            with_prefill(pb::Prefill { connection_owner_email: "no".to_owned(), ..prefill() }),
            "prefill.connection_owner_email",
        ),
        (with_url("ftp://example.org/"), "prefill.datasource_uri"),
        (with_url("javascript:alert(1)"), "prefill.datasource_uri"),
        (with_url("//example.org"), "prefill.datasource_uri"),
        (with_url(""), "prefill.datasource_uri"),
        (with_url(&format!("https://example.org/{}", "a".repeat(281))), "prefill.datasource_uri"),
    ];
    for (invitation, field) in cases {
        let shown = format!("{field}: {invitation:?}");
        let answer = service.connections().create_connection_invitation(messages::creation(invitation)).await;
        let status = refused(answer, Code::InvalidArgument, "INVALID_FIELD");
        let named: Vec<_> = violated(&status).iter().map(|at| at.split('[').next().unwrap().to_owned()).collect();
        let wanted = format!("connection_invitation.{}", field.split('[').next().unwrap());
        assert_eq!(named, [wanted], "{shown}");
    }
    for date in
        ["2026-02-30", "2026-2-3", "2026-13-01", "20260101", "+026-01-01", "2026-01-01T00:00:00Z", " 2026-01-01"]
    {
        let prefill = pb::Prefill { data_collection_start_date: date.to_owned(), ..prefill() };
        let answer =
            service.connections().create_connection_invitation(messages::creation(with_prefill(prefill))).await;
        let status = refused(answer, Code::InvalidArgument, "INVALID_FIELD");
        assert_eq!(violated(&status), ["connection_invitation.prefill.data_collection_start_date"], "{date}");
    }
    let request =
        pb::CreateConnectionInvitationRequest { send_email: Some(true), ..messages::creation(messages::invitation()) };
    let answer = service.connections().create_connection_invitation(request).await;
    assert_eq!(violated(&refused(answer, Code::InvalidArgument, "INVALID_FIELD")), ["send_email"]);
    for request_id in ["a b", "\u{e9}", &"a".repeat(129)] {
        let request_id = request_id.to_owned();
        let request =
            pb::CreateConnectionInvitationRequest { request_id, ..messages::creation(messages::invitation()) };
        let answer = service.connections().create_connection_invitation(request).await;
        assert_eq!(violated(&refused(answer, Code::InvalidArgument, "INVALID_FIELD")), ["request_id"]);
    }
    let listed = service.invitations().list_invitations(pb::ListInvitationsRequest::default()).await.unwrap();
    assert!(listed.into_inner().invitations.is_empty(), "nothing was made");
    service.stop().await;
}

#[tokio::test(crate = "crate::support::limit")]
async fn value_at_a_limit_is_accepted() {
    let database = TestDatabase::sqlite();
    let service = Service::start(&database).await;
    let url = format!("https://example.org/{}", "a".repeat(280));
    for invitation in [
        with_emails(1_000),
        many_labels(64),
        with_labels([("\u{e9}".repeat(63), "\u{e9}".repeat(255))]),
        with_ttl(60, 0),
        with_ttl(60, 999_999_999),
        with_ttl(100 * 31_557_600, 0),
        with_uses(1),
        with_uses(i32::MAX),
        with_url(&url),
    ] {
        let made = messages::create(&service, invitation.clone()).await;
        assert_eq!((made.max_uses, made.labels), (invitation.max_uses, invitation.labels));
        assert_eq!((made.allowed_emails, made.prefill), (invitation.allowed_emails, invitation.prefill));
    }
    service.stop().await;
}

#[tokio::test(crate = "crate::support::limit")]
async fn address_that_is_not_plain_is_refused_in_every_field() {
    let database = TestDatabase::sqlite();
    let service = Service::start(&database).await;
    let long = format!("{}@{}.org", "a".repeat(64), "b.".repeat(93) + "bbb");
    assert_eq!(long.len(), 258);
    for email in [
        "",
        "a",
        "@",
        "a@",
        "@example.org",
        "example.org",
        "a@b@example.org",
        "\"a b\"@example.org",
        "a@[127.0.0.1]",
        "a@127.0.0.1",
        "a@example.org.",
        "a@localhost",
        "a@x.org,b@y.org",
        "a@x.org;b@y.org",
        "Name <a@x.org>",
        "a@x.org\r\nBcc: b@y.org",
        "a\0@x.org",
        "a\u{2028}@x.org",
        "a b@x.org",
        ".a@x.org",
        "a..b@x.org",
        "a@-x.org",
        "a@x_y.org",
        "a@exa mple.org",
        &long,
    ] {
        let invitation = messages::invitation_for(&["good@example.org", email]);
        let request =
            pb::CreateConnectionInvitationRequest { send_email: Some(true), ..messages::creation(invitation) };
        let answer = service.connections().create_connection_invitation(request).await;
        let status = refused(answer, Code::InvalidArgument, "INVALID_FIELD");
        assert_eq!(violated(&status), ["connection_invitation.allowed_emails[1]"], "{email:?}");
    }
    let all_at_once = pb::CreateReconnectInvitationRequest {
        connection_id: "x".to_owned(),
        allowed_emails: vec!["a".to_owned(), "b@example.org".to_owned(), "c".to_owned()],
        expiration: messages::seconds(1).map(pb::create_reconnect_invitation_request::Expiration::Ttl),
        max_uses: Some(0),
        request_id: " ".to_owned(),
        labels: [(String::new(), String::new())].into(),
        ..Default::default()
    };
    let answer = service.connections().create_reconnect_invitation(all_at_once).await;
    let mut fields = violated(&refused(answer, Code::InvalidArgument, "INVALID_FIELD"));
    fields.sort();
    // The company is not missed: a valid connection could tell it.
    let wanted = ["allowed_emails[0]", "allowed_emails[2]", "connection_id", "labels", "max_uses", "request_id", "ttl"];
    assert_eq!(fields, wanted);
    service.stop().await;
}
