//! Dry runs over the table of the lifecycle: for each kind, state, verb and caller, a dry run answers as the call then does, and
//! changes nothing.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use invitation_service::pb;
use invitation_service::pb::InvitationState as State;
use prost::Message;
use tonic::{Code, Status};
use tonic_types::StatusExt as _;

use super::idempotency::effects;
use crate::rpc::redemption::keys;
use crate::rpc::update;
use crate::support::build::acceptances::{extending, releasing};
use crate::support::build::guests::{GUEST, HOST, OTHER_HOST};
use crate::support::build::{generals, messages};
use crate::support::database::TestDatabase;
use crate::support::on_both;
use crate::support::service::Service;

on_both!(migrated: dry_run_of_each_verb_answers_as_the_call_in_every_state);

const KINDS: [&str; 4] = ["connectionInvitations", "userInvitations", "guestInvitations", "invitations"];
const STATES: [State; 5] = [State::Active, State::Expired, State::Revoked, State::Declined, State::Fulfilled];

/// A call of a verb: the RPC and the request.
type Call = (&'static str, Vec<u8>);

/// Sets field 15, `validate_only`.
fn dry(body: &[u8]) -> Vec<u8> {
    [body, &[0x78, 1]].concat()
}

/// Returns the refusal that a caller is told; `None` for an answer, whatever it holds.
fn outcome(answer: Result<bytes::Bytes, Status>) -> Option<(Code, String, String, BTreeMap<String, String>)> {
    let status = answer.err()?;
    // The metadata have no order.
    let info = status.get_error_details().error_info().unwrap().clone();
    Some((status.code(), status.message().to_owned(), info.reason, info.metadata.into_iter().collect()))
}

async fn dry_run_of_each_verb_answers_as_the_call_in_every_state(database: TestDatabase) {
    let callers =
        [("theirs", "*", None), ("ours", "events.read", None), ("ours", "*", Some(OTHER_HOST)), ("ours", "*", None)];
    let (service, keys) = keys::start_bound(&database, &callers).await;
    let ours = keys.last().unwrap();
    let mut outcomes = BTreeSet::new();
    // The decisions are the same code on both databases: PostgreSQL shows that nothing is left of a dry run, which two states do.
    let states = if database.url().starts_with("postgres") { &STATES[3..] } else { &STATES[..] };
    for (number, kind) in KINDS.into_iter().enumerate() {
        for state in states.iter().copied() {
            for verb in 0..verbs(kind, &pb::Invitation::default()).len() {
                let who = format!("{number}-{}-{verb}", state.as_str_name());
                let made = in_state(&service, ours, kind, state, &who).await;
                let (path, body) = verbs(kind, &made).swap_remove(verb);
                let mut before = effects(&service).await;
                // The first two are refused. The third may use a link, and the last may all.
                for (number, key) in keys.iter().enumerate() {
                    let asked = outcome(call(&service, key, path, dry(&body)).await);
                    if number >= 2 {
                        let unchanged = effects(&service).await == before;
                        assert!(unchanged, "{kind} {state:?} {path}: a dry run and a refused call change nothing");
                    }
                    let checked = if number == 3 { check(&service, key, path, &body).await } else { None };
                    let done = outcome(call(&service, key, path, body.clone()).await);
                    assert_eq!(asked, done, "{kind} {state:?} {path}");
                    if let Some(checked) = checked {
                        compare(&checked, done.as_ref());
                    }
                    if number == 2 {
                        before = effects(&service).await;
                    }
                    outcomes.insert(done.map(|(code, ..)| code.to_string()));
                }
            }
        }
    }
    assert!(outcomes.len() >= 4, "the table meets {outcomes:?}");
    service.stop().await;
}

/// Checks an accept by its link: returns all that keeps the person from it; `None` for another call.
async fn check(service: &Service, key: &str, path: &str, body: &[u8]) -> Option<pb::CheckAcceptanceResponse> {
    if path != "RedemptionService/AcceptInvitation" {
        return None;
    }
    let accept = pb::AcceptInvitationRequest::decode(body).unwrap();
    let access = Some(pb::check_acceptance_request::Access::Token(accept.token));
    let request = pb::CheckAcceptanceRequest { access, acceptor: accept.acceptor, ..Default::default() };
    let checked = call(service, key, "InvitationService/CheckAcceptance", request.encode_to_vec()).await.unwrap();
    Some(pb::CheckAcceptanceResponse::decode(checked).unwrap())
}

/// Compares what a check says with what the accept then says: its error is the first blocker.
fn compare(checked: &pb::CheckAcceptanceResponse, done: Option<&(Code, String, String, BTreeMap<String, String>)>) {
    assert_eq!(checked.acceptable, done.is_none(), "{checked:?}, and {done:?}");
    let first =
        checked.blockers.first().map(|first| (first.reason.clone(), [&*first.message, &first.remedy].join(": ")));
    assert_eq!(first, done.map(|(_, message, reason, _)| (reason.clone(), message.clone())));
}

async fn call(service: &Service, key: &str, path: &str, body: Vec<u8>) -> Result<bytes::Bytes, Status> {
    keys::call(service, key, &format!("/invitation.v1.{path}"), body).await
}

/// Returns the verbs on an invitation of a kind, by its link and by both of its names.
fn verbs(kind: &str, made: &pb::Invitation) -> Vec<Call> {
    let invited = made.targets.first().map(|target| target.value.clone()).unwrap_or_default();
    let (name, typed, token) = (made.name.clone(), made.typed_name.clone(), made.invitation_token.clone());
    let ttl = messages::seconds(120).map(pb::resend_invitation_request::Expiration::Ttl);
    let resend = |rotate_token, expiration| {
        pb::ResendInvitationRequest { name: name.clone(), rotate_token, expiration, ..Default::default() }
            .encode_to_vec()
    };
    let mut calls = vec![
        ("RedemptionService/AcceptInvitation", messages::accept_as(&token, "ann", &invited, true).encode_to_vec()),
        (
            "RedemptionService/AcceptInvitation",
            messages::accept_as(&token, "eve", "eve@example.com", true).encode_to_vec(),
        ),
        ("RedemptionService/DeclineInvitation", messages::decline(&token).encode_to_vec()),
        ("RedemptionService/RecordEngagement", messages::view(&token).encode_to_vec()),
        (
            "InvitationService/RevokeInvitation",
            pb::RevokeInvitationRequest { name: name.clone(), ..Default::default() }.encode_to_vec(),
        ),
        ("InvitationService/ResendInvitation", resend(false, None)),
        ("InvitationService/ResendInvitation", resend(true, ttl)),
        ("InvitationService/UpdateInvitation", updated(&name, "kim@example.org", &[])),
        ("InvitationService/UpdateInvitation", updated(&name, &invited, &[])),
        ("InvitationService/UpdateInvitation", updated(&name, "kim@example.org", &[1, 9])),
    ];
    let accepted = made.acceptances.first().map(|accepted| accepted.name.clone());
    let accepted = accepted.unwrap_or_else(|| format!("{name}/acceptances/{}", messages::COMPANY));
    calls.push(("InvitationService/UpdateAcceptance", extending(&accepted, messages::at(2_000_000)).encode_to_vec()));
    for mode in [pb::ReleaseMode::Undo, pb::ReleaseMode::End] {
        calls.push(("InvitationService/ReleaseAcceptance", releasing(&accepted, mode).encode_to_vec()));
    }
    let name = typed;
    match kind {
        "connectionInvitations" => {
            let given = pb::ConnectionInvitation { name: name.clone(), max_uses: Some(7), ..Default::default() };
            let update = pb::UpdateConnectionInvitationRequest {
                add_targets: vec![generals::email("kim@example.org")],
                send_email: Some(true),
                ..update::of_connection(given, &[])
            };
            calls.push(("ConnectionInvitationService/UpdateConnectionInvitation", update.encode_to_vec()));
            let revoke = pb::RevokeConnectionInvitationRequest { name, etag: made.etag.clone(), ..Default::default() };
            calls.push(("ConnectionInvitationService/RevokeConnectionInvitation", revoke.encode_to_vec()));
        }
        "userInvitations" => {
            let roles = vec!["viewer".to_owned()];
            let given = pb::UserInvitation { name: name.clone(), roles, ..Default::default() };
            calls.push(("UserInvitationService/UpdateUserInvitation", update::of_user(given, &[]).encode_to_vec()));
            let delete = pb::DeleteUserInvitationRequest { name, ..Default::default() };
            calls.push(("UserInvitationService/DeleteUserInvitation", delete.encode_to_vec()));
        }
        "guestInvitations" => {
            let (requester_organization_id, target_organization_id) = (HOST.to_owned(), HOST.to_owned());
            let update = pb::UpdateGuestInvitationRequest {
                guest_invitation: Some(pb::GuestInvitation {
                    name: name.clone(),
                    archived: Some(true),
                    parent_organization_name: "Parent".to_owned(),
                    ..Default::default()
                }),
                requester_organization_id: requester_organization_id.clone(),
                target_organization_id: target_organization_id.clone(),
                ..Default::default()
            };
            let accept = pb::AcceptGuestInvitationRequest {
                name,
                guest_organization_id: GUEST.to_owned(),
                requester_organization_id,
                target_organization_id,
                ..Default::default()
            };
            calls.push(("GuestInvitationService/UpdateGuestInvitation", update.encode_to_vec()));
            calls.push(("GuestInvitationService/AcceptGuestInvitation", accept.encode_to_vec()));
        }
        _ => {}
    }
    calls
}

/// Returns an update of a general invitation that adds a recipient and removes others.
fn updated(name: &str, added: &str, removed: &[u16]) -> Vec<u8> {
    let request = pb::UpdateInvitationRequest {
        add_targets: vec![generals::email(added)],
        remove_recipients: removed.iter().map(|ordinal| update::recipient(name, *ordinal)).collect(),
        send_email: Some(true),
        ..update::of_general(
            pb::Invitation { name: name.to_owned(), message: "Hello".to_owned(), ..Default::default() },
            &[],
        )
    };
    request.encode_to_vec()
}

/// Creates an invitation of one person of a kind, and brings it to a state.
async fn in_state(service: &Service, key: &str, kind: &str, state: State, who: &str) -> pb::Invitation {
    let email = format!("{who}@example.org").to_lowercase().replace('_', "-");
    let life = messages::seconds(if state == State::Expired { 60 } else { 1_000_000 });
    let (path, body) = creation(kind, &email, life);
    let made = call(service, key, path, body).await.unwrap_or_else(|status| panic!("{path}: {status:?}"));
    // The uid is field 2 of every resource, as the id is of this message.
    let uid = pb::ScopeRef::decode(made).unwrap().id;
    let read = pb::GetInvitationRequest { name: format!("invitations/{uid}") }.encode_to_vec();
    let made =
        pb::Invitation::decode(call(service, key, "InvitationService/GetInvitation", read.clone()).await.unwrap())
            .unwrap();
    let token = made.invitation_token.as_str();
    let (path, body) = match state {
        State::Active | State::Unspecified => return made,
        State::Expired => {
            service.clock.advance(Duration::from_secs(60));
            return made;
        }
        State::Revoked => (
            "InvitationService/RevokeInvitation",
            pb::RevokeInvitationRequest { name: made.name.clone(), ..Default::default() }.encode_to_vec(),
        ),
        State::Declined => ("RedemptionService/DeclineInvitation", messages::decline(token).encode_to_vec()),
        State::Fulfilled => {
            ("RedemptionService/AcceptInvitation", messages::accept_as(token, "bob", &email, true).encode_to_vec())
        }
    };
    call(service, key, path, body).await.unwrap_or_else(|status| panic!("{path}: {status:?}"));
    let made =
        pb::Invitation::decode(call(service, key, "InvitationService/GetInvitation", read).await.unwrap()).unwrap();
    assert_eq!(made.state(), state, "the preparation of {kind}");
    made
}

fn creation(kind: &str, email: &str, life: Option<prost_types::Duration>) -> Call {
    let inviter = Some(pb::Inviter { display_name: "Bob".to_owned(), ..Default::default() });
    match kind {
        "connectionInvitations" => {
            let wanted = pb::ConnectionInvitation {
                max_uses: Some(1),
                expiration: life.map(pb::connection_invitation::Expiration::Ttl),
                ..messages::invitation_for(&[email])
            };
            ("ConnectionInvitationService/CreateConnectionInvitation", messages::creation(wanted).encode_to_vec())
        }
        "userInvitations" => {
            let wanted = pb::UserInvitation {
                invited_email: email.to_owned(),
                inviter,
                expiration: life.map(pb::user_invitation::Expiration::Ttl),
                ..Default::default()
            };
            let request = pb::CreateUserInvitationRequest { user_invitation: Some(wanted), ..Default::default() };
            ("UserInvitationService/CreateUserInvitation", request.encode_to_vec())
        }
        "guestInvitations" => {
            let wanted = pb::GuestInvitation {
                email: email.to_owned(),
                expiration: life.map(pb::guest_invitation::Expiration::Ttl),
                ..Default::default()
            };
            let request = pb::CreateGuestInvitationRequest {
                guest_invitation: Some(wanted),
                requester_organization_id: HOST.to_owned(),
                target_organization_id: HOST.to_owned(),
                ..Default::default()
            };
            ("GuestInvitationService/CreateGuestInvitation", request.encode_to_vec())
        }
        _ => {
            let wanted = pb::Invitation {
                targets: vec![messages::target(pb::TargetType::Email, email)],
                scope: Some(messages::scope("team", "red")),
                expiration: life.map(pb::invitation::Expiration::Ttl),
                ..Default::default()
            };
            ("InvitationService/CreateInvitation", messages::general(wanted).encode_to_vec())
        }
    }
}
