//! Persons who call with a JWT of their own: what they may call, and whose word counts.

mod answers;
mod lists;
mod rate;
mod shown;

use std::collections::BTreeSet;
use std::time::Duration;

use bytes::Bytes;
use invitation_service::api::requests::RPCS;
use invitation_service::auth::permission::{Permission, Required};
use invitation_service::pb;
use invitation_service::pb::TargetType;
use prost::Message as _;
use serde_json::{Value, json};
use tempfile::TempDir;
use tonic::{Code, Request, Status};
use tonic_types::StatusExt as _;

use crate::contract::raw::{self, Cells};
use crate::support::build::{generals, guests, messages};
use crate::support::database::{NEW_YEAR, TestDatabase};
use crate::support::expect::{reason, refused};
use crate::support::jwt::{self, LOGIN, Signer};
use crate::support::service::Service;

/// New Year, in seconds.
const NOW: i64 = NEW_YEAR.micros() / 1_000_000;
const ANN: &str = "ann@example.org";
const BOB: &str = "bob@example.org";

/// A service, the tokens for it, and a token of a service with every permission.
struct Stage {
    service: Service,
    signer: Signer,
    key: String,
    _folder: TempDir,
}

impl Stage {
    async fn new(database: &TestDatabase) -> Self {
        let (folder, signer) = (tempfile::tempdir().unwrap(), Signer::new("one"));
        std::fs::write(folder.path().join("keys.json"), jwt::jwks(&[&signer])).unwrap();
        let keys = format!("jwks_file = {:?}", folder.path().join("keys.json").display().to_string());
        let issuers = jwt::issuers_file(folder.path(), &keys);
        jwt::add_persons(&issuers, &keys);
        let service = jwt::start(database, &issuers).await;
        let key = signer.token(NOW, "backend", json!({"scope": Permission::ALL.map(Permission::name)}));
        Self { service, signer, key, _folder: folder }
    }

    /// A request of the service.
    fn by_service<T>(&self, message: T) -> Request<T> {
        jwt::with(&self.key, message)
    }

    /// A token of a person, with some changes of its claims.
    fn token(&self, subject: &str, changes: Value) -> String {
        let mut claims = json!({"iss": LOGIN});
        claims.as_object_mut().unwrap().extend(changes.as_object().unwrap().clone());
        self.signer.token(NOW, subject, claims)
    }

    /// A token of a person with a verified address.
    fn person(&self, subject: &str, email: &str) -> String {
        self.token(subject, json!({"email": email, "email_verified": true}))
    }

    fn ann(&self) -> String {
        self.person("ann", ANN)
    }

    async fn general(&self, targets: &[pb::Target]) -> pb::Invitation {
        self.made(generals::into_team(targets)).await
    }

    async fn made(&self, invitation: pb::Invitation) -> pb::Invitation {
        let request = self.by_service(messages::general(invitation));
        self.service.invitations().create_invitation(request).await.unwrap().into_inner()
    }

    async fn user(&self, email: &str) -> String {
        let invitation = pb::UserInvitation {
            invited_email: email.to_owned(),
            inviter: Some(pb::Inviter { display_name: "Zoe".to_owned(), ..Default::default() }),
            ..Default::default()
        };
        let request = pb::CreateUserInvitationRequest { user_invitation: Some(invitation), ..Default::default() };
        self.service.users().create_user_invitation(self.by_service(request)).await.unwrap().into_inner().name
    }

    async fn guest(&self, email: &str) -> pb::GuestInvitation {
        let mut request = self.by_service(guests::creation(guests::guest(email)));
        guests::add(&mut request, guests::HOST, guests::HOST);
        self.service.guests().create_guest_invitation(request).await.unwrap().into_inner()
    }

    async fn connection(&self, emails: &[&str]) -> pb::ConnectionInvitation {
        let request = self.by_service(messages::creation(messages::invitation_for(emails)));
        self.service.connections().create_connection_invitation(request).await.unwrap().into_inner()
    }

    async fn open(&self, token: &str, target: Option<pb::TargetRef>) -> Result<Vec<pb::Invitation>, Status> {
        let view = pb::InvitationView::Full.into();
        let request = pb::ListOpenInvitationsRequest { target, view, ..Default::default() };
        let listed = self.service.invitations().list_open_invitations(jwt::with(token, request)).await?;
        Ok(listed.into_inner().invitations)
    }

    /// The names of what is open to a person.
    async fn open_names(&self, token: &str) -> BTreeSet<String> {
        self.open(token, None).await.unwrap().into_iter().map(|open| open.typed_name).collect()
    }

    async fn accept(&self, token: &str, names: &[&str]) -> Vec<pb::AcceptInvitationsResult> {
        let request = pb::AcceptInvitationsRequest { entries: generals::entries(names), ..Default::default() };
        let answer = self.service.invitations().accept_invitations(jwt::with(token, request)).await;
        answer.unwrap().into_inner().results
    }

    async fn decline(&self, token: &str, names: &[&str]) -> Vec<pb::DeclineInvitationsResult> {
        let names = names.iter().map(|name| (*name).to_owned()).collect();
        let request = pb::DeclineInvitationsRequest { names, ..Default::default() };
        let answer = self.service.invitations().decline_invitations(jwt::with(token, request)).await;
        answer.unwrap().into_inner().results
    }

    /// The tokens of the links that were mailed, by the addresses.
    async fn mailed(&self, name: &str, email: &str) -> String {
        let request = pb::ListRecipientsRequest { parent: name.to_owned(), ..Default::default() };
        let listed = self.service.invitations().list_recipients(self.by_service(request)).await.unwrap().into_inner();
        let found = listed.recipients.into_iter().find(|recipient| recipient.value == email);
        found.unwrap().invitation_token
    }
}

fn target(r#type: TargetType, value: &str) -> Option<pb::TargetRef> {
    Some(pb::TargetRef { r#type: r#type.into(), value: value.to_owned() })
}

/// The metadata of a refusal, of which `field` is the field that a person may not set.
fn denied_field<T: std::fmt::Debug>(answer: Result<T, Status>) -> String {
    let status = refused(answer, Code::PermissionDenied, "PERMISSION_DENIED");
    let details = status.get_error_details();
    details.error_info().unwrap().metadata.get("field").cloned().unwrap_or_default()
}

#[tokio::test(crate = "crate::support::limit")]
async fn person_reaches_the_rpcs_of_the_table_and_no_other() {
    let database = TestDatabase::sqlite();
    let stage = Stage::new(&database).await;
    let token = stage.token("ann", json!({"email": ANN, "email_verified": true, "scope": "*", "permissions": ["*"]}));
    let (mut open, mut cells) = (BTreeSet::new(), Cells::new("persons"));
    for (path, needed) in RPCS {
        cells.check(path, "person");
        // Each RPC has its turn in the rate of the person.
        stage.service.clock.advance(Duration::from_millis(100));
        // No message of any method: whoever gets as far as decoding is told so.
        let request = jwt::with(&token, Bytes::from_static(&[0xff; 8]));
        let status = raw::call_as_it_is(&stage.service, path, request).await.expect_err("no message");
        if reason(&status) == (Code::InvalidArgument, "MALFORMED_MESSAGE".to_owned()) {
            open.insert(path.trim_start_matches("/invitation.v1."));
            assert!(!matches!(needed, Required::Permission(_)), "{path}");
        } else {
            let status = refused::<()>(Err(status), Code::PermissionDenied, "PERMISSION_DENIED");
            let (details, needed) = (status.get_error_details(), needed.permission().unwrap());
            assert_eq!(details.error_info().unwrap().metadata["permission"], needed.name(), "{path}");
        }
    }
    let expected = [
        "AccessService/GetCaller",
        "InvitationService/AcceptInvitations",
        "InvitationService/DeclineInvitations",
        "InvitationService/ListInvitations",
        "InvitationService/ListOpenInvitations",
        "InvitationService/SettleInvitations",
        "RedemptionService/AcceptInvitation",
        "RedemptionService/DeclineInvitation",
        "RedemptionService/PreviewInvitation",
    ];
    assert_eq!(open, BTreeSet::from(expected));
    cells.assert_complete(|_| true, 1);
    stage.service.stop().await;
}

#[tokio::test(crate = "crate::support::limit")]
async fn no_organization_acts_for_a_person() {
    let database = TestDatabase::sqlite();
    let stage = Stage::new(&database).await;
    for (path, needed) in RPCS {
        if matches!(needed, Required::Permission(_)) {
            continue;
        }
        for key in ["requester-organization-id", "target-organization-id"] {
            let mut request = jwt::with(&stage.ann(), Bytes::new());
            request.metadata_mut().insert(key, guests::HOST.parse().unwrap());
            let answer = raw::call_as_it_is(&stage.service, path, request).await;
            refused(answer, Code::PermissionDenied, "ORGANIZATION_ACCESS_DENIED");
        }
    }
    stage.service.stop().await;
}

#[tokio::test(crate = "crate::support::limit")]
async fn caller_is_the_person_of_the_token() {
    let database = TestDatabase::sqlite();
    let stage = Stage::new(&database).await;
    let caller = async |token: &str| {
        let request = jwt::with(token, pb::GetCallerRequest {});
        stage.service.access().get_caller(request).await.unwrap().into_inner()
    };
    let ann = caller(&stage.person("ann", "Ann@Example.org")).await;
    assert_eq!((ann.name.as_str(), ann.account.as_str()), ("users/ann", "acme"));
    assert_eq!((ann.permissions, ann.auth_mode), (vec!["self".to_owned()], pb::AuthMode::Jwt.into()));
    assert_eq!(ann.person, Some(pb::Person { subject: "ann".to_owned(), email: "Ann@Example.org".to_owned() }));
    for changes in [json!({"email": ANN}), json!({"email": ANN, "email_verified": false}), json!({})] {
        let unverified = caller(&stage.token("ann", changes)).await.person;
        assert_eq!(unverified, Some(pb::Person { subject: "ann".to_owned(), email: String::new() }));
    }
    assert_eq!(caller(&stage.key).await.person, None);
    stage.service.stop().await;
}

#[tokio::test(crate = "crate::support::limit")]
async fn person_who_speaks_for_another_is_refused_with_the_field() {
    let database = TestDatabase::sqlite();
    let stage = Stage::new(&database).await;
    let link = stage.general(&[]).await.invitation_token;
    let ann = stage.ann();
    let known = pb::Acceptor { subject: "ann".to_owned(), ..Default::default() };
    let unverified = stage.token("ann", json!({"email": ANN}));
    for (token, field, acceptor) in [
        (&ann, "acceptor.subject", pb::Acceptor { subject: "bob".to_owned(), ..Default::default() }),
        (&ann, "acceptor.subject", pb::Acceptor { subject: "system:x".to_owned(), ..Default::default() }),
        (&ann, "acceptor.subject", pb::Acceptor { subject: "a\nb".to_owned(), ..Default::default() }),
        (&ann, "acceptor.email", pb::Acceptor { email: BOB.to_owned(), ..known.clone() }),
        (&ann, "acceptor.email", pb::Acceptor { email: "ann+x@example.org".to_owned(), ..known.clone() }),
        (&ann, "acceptor.email", pb::Acceptor { email: "nonsense".to_owned(), ..known.clone() }),
        (&ann, "acceptor.phone", pb::Acceptor { phone: "+4930123456".to_owned(), ..known.clone() }),
        (&ann, "acceptor.existing_user", pb::Acceptor { existing_user: Some(false), ..known.clone() }),
        (&unverified, "acceptor.email", pb::Acceptor { email: ANN.to_owned(), ..known.clone() }),
        (&unverified, "acceptor.email_verified", pb::Acceptor { email_verified: true, ..known.clone() }),
    ] {
        let acceptor = Some(acceptor);
        let accept =
            pb::AcceptInvitationRequest { token: link.clone(), acceptor: acceptor.clone(), ..Default::default() };
        assert_eq!(denied_field(stage.service.redemptions().accept_invitation(jwt::with(token, accept)).await), field);
        let many = pb::AcceptInvitationsRequest { entries: Vec::new(), acceptor, ..Default::default() };
        let answer = stage.service.invitations().accept_invitations(jwt::with(token, many)).await;
        assert_eq!(denied_field(answer), field, "before the violations");
    }
    let bare = pb::AcceptInvitationRequest { token: link.clone(), ..Default::default() };
    for (field, request) in [
        ("email_proof", pb::AcceptInvitationRequest { email_proof: "proof".to_owned(), ..bare.clone() }),
        ("created_connection", pb::AcceptInvitationRequest { kind_input: messages::created("x"), ..bare.clone() }),
        (
            "guest_organization_id",
            pb::AcceptInvitationRequest { kind_input: messages::as_guest(guests::GUEST), ..bare.clone() },
        ),
    ] {
        let answer = stage.service.redemptions().accept_invitation(jwt::with(&ann, request)).await;
        assert_eq!(denied_field(answer), field);
    }
    for (r#type, value) in [(TargetType::Email, BOB), (TargetType::Internal, "bob"), (TargetType::Phone, "+4930123456")]
    {
        assert_eq!(denied_field(stage.open(&ann, target(r#type, value)).await), "target");
        let request = pb::DeclineInvitationsRequest { target: target(r#type, value), ..Default::default() };
        let answer = stage.service.invitations().decline_invitations(jwt::with(&ann, request)).await;
        assert_eq!(denied_field(answer), "target");
    }
    // Nothing was accepted, and their own words are taken.
    let own = pb::Acceptor {
        email: "ANN@example.org".to_owned(),
        email_verified: true,
        display_name: "Ann".to_owned(),
        ..known
    };
    let request = pb::AcceptInvitationRequest { acceptor: Some(own), ..bare };
    let accepted = stage.service.redemptions().accept_invitation(jwt::with(&ann, request)).await.unwrap().into_inner();
    let acceptance = accepted.acceptance.unwrap();
    assert!(!accepted.already_accepted);
    assert_eq!((acceptance.subject.as_str(), acceptance.email.as_str()), ("ann", ANN));
    assert_eq!(acceptance.display_name, "Ann");
    stage.service.stop().await;
}

/// Whether a message has a text in it.
fn holds(message: &impl prost::Message, text: &str) -> bool {
    message.encode_to_vec().windows(text.len()).any(|window| window == text.as_bytes())
}
