//! The lifecycle's table: what each verb does in each state.

use std::time::Duration;

use invitation_service::pb;
use invitation_service::pb::InvitationState as State;
use tonic::Status;

use crate::support::build::messages;
use crate::support::database::TestDatabase;
use crate::support::expect::reason;
use crate::support::on_both;
use crate::support::service::Service;

on_both!(migrated: every_verb_does_in_every_state_what_the_table_says);

#[derive(Clone, Copy, Debug, PartialEq)]
enum Verb {
    Accept,
    AcceptAgain,
    Decline,
    Revoke,
    Resend,
    Rotate,
    Renew,
    RenewAndRotate,
    RecordCreatedConnection,
    Preview,
    RecordEngagement,
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Cell {
    /// OK, and the invitation changes and is in this state.
    Becomes(State),
    /// OK, and nothing about the invitation changes.
    Stays,
    /// FAILED_PRECONDITION with this reason, and nothing changes.
    Refused(&'static str),
    /// It cannot come to this.
    Never,
}

use Cell::{Becomes, Never, Refused, Stays};

const STATES: [State; 5] = [State::Active, State::Expired, State::Revoked, State::Declined, State::Fulfilled];

const EXPIRED: Cell = Refused("INVITATION_EXPIRED");
const REVOKED: Cell = Refused("INVITATION_REVOKED");
const DECLINED: Cell = Refused("INVITATION_DECLINED");
const FULFILLED: Cell = Refused("INVITATION_FULFILLED");
const ACTIVE: Cell = Becomes(State::Active);

#[rustfmt::skip]
const TABLE: [(Verb, [Cell; 5]); 11] = [
    (Verb::Accept, [ACTIVE, EXPIRED, REVOKED, DECLINED, FULFILLED]),
    (Verb::AcceptAgain, [Stays, Stays, Stays, Never, Stays]),
    (Verb::Decline, [Becomes(State::Declined), EXPIRED, REVOKED, Stays, FULFILLED]),
    (Verb::Revoke, [Becomes(State::Revoked), Becomes(State::Revoked), Stays, DECLINED, FULFILLED]),
    (Verb::Resend, [ACTIVE, EXPIRED, REVOKED, DECLINED, FULFILLED]),
    (Verb::Rotate, [ACTIVE, EXPIRED, REVOKED, DECLINED, FULFILLED]),
    (Verb::Renew, [ACTIVE, ACTIVE, REVOKED, DECLINED, FULFILLED]),
    (Verb::RenewAndRotate, [ACTIVE, ACTIVE, REVOKED, DECLINED, FULFILLED]),
    (Verb::RecordCreatedConnection, [ACTIVE, Becomes(State::Expired), Becomes(State::Revoked), Never, Becomes(State::Fulfilled)]),
    (Verb::Preview, [Stays, Stays, Stays, Stays, Stays]),
    (Verb::RecordEngagement, [Stays, Stays, Stays, Stays, Stays]),
];

async fn every_verb_does_in_every_state_what_the_table_says(database: TestDatabase) {
    let service = Service::start(&database).await;
    let mut wrong = Vec::new();
    for (verb, cells) in TABLE {
        for (state, wanted) in STATES.into_iter().zip(cells).filter(|(_, wanted)| *wanted != Never) {
            // Only who has not accepted can decline, and only what is meant for somebody can be declined.
            let before = if state == State::Declined || (state, verb) == (State::Active, Verb::Decline) {
                for_bob(&service, state).await
            } else {
                in_state(&service, state).await
            };
            assert_eq!(before.state(), state, "the preparation of {verb:?}");
            let events = messages::events(&service, &before.name).await.len();
            let result = perform(&service, verb, &before).await;
            let after = messages::get(&service, &before.name).await;
            let more = messages::events(&service, &before.name).await.len() - events;
            let seen = match &result {
                Ok(()) if after == before => Stays,
                Ok(()) => Becomes(after.state()),
                Err(status) => {
                    let (code, reason) = reason(status);
                    assert_eq!(
                        (code, &after, more),
                        (tonic::Code::FailedPrecondition, &before, 0),
                        "{verb:?} {state:?}"
                    );
                    Refused(reason.leak())
                }
            };
            if seen != wanted {
                wrong.push((verb, state, seen, wanted));
            }
            let counted = matches!(verb, Verb::RecordEngagement);
            assert_eq!(more > 0, matches!(seen, Becomes(_)) || counted, "{verb:?} in {state:?}: a change has an event");
            assert_eq!(
                after.etag != before.etag,
                matches!(seen, Becomes(_)),
                "{verb:?} in {state:?}: a change has an etag"
            );
        }
    }
    assert!(wrong.is_empty(), "(verb, state, seen, wanted): {wrong:#?}");
    service.stop().await;
}

const CREATED: &str = "01920000-0000-7000-8000-00000000cafe";

/// Makes an invitation that ann has accepted and brings it to a state.
async fn in_state(service: &Service, state: State) -> pb::ConnectionInvitation {
    let wanted = pb::ConnectionInvitation {
        max_uses: Some(if state == State::Fulfilled { 1 } else { 3 }),
        expiration: messages::seconds(60)
            .filter(|_| state == State::Expired)
            .map(pb::connection_invitation::Expiration::Ttl),
        ..messages::invitation()
    };
    let made = messages::create(service, wanted).await;
    let accept = pb::AcceptInvitationRequest {
        kind_input: messages::created(CREATED),
        ..messages::accept(&made.invitation_token, "ann")
    };
    service.redemptions().accept_invitation(accept).await.unwrap();
    match state {
        State::Expired => service.clock.advance(Duration::from_secs(60)),
        State::Revoked => drop(messages::revoke(service, &made.name).await.unwrap()),
        State::Active | State::Declined | State::Fulfilled | State::Unspecified => {}
    }
    messages::get(service, &made.name).await
}

/// Makes an invitation for bob, who may decline it then.
async fn for_bob(service: &Service, state: State) -> pb::ConnectionInvitation {
    let made = messages::create(service, messages::once_for("bob@example.org")).await;
    if state == State::Declined {
        service.redemptions().decline_invitation(messages::decline(&made.invitation_token)).await.unwrap();
    }
    messages::get(service, &made.name).await
}

async fn perform(service: &Service, verb: Verb, invitation: &pb::ConnectionInvitation) -> Result<(), Status> {
    let token = invitation.invitation_token.as_str();
    let mut redemptions = service.redemptions();
    let resend = |rotate_token, renew| pb::ResendConnectionInvitationRequest {
        name: invitation.name.clone(),
        rotate_token,
        expiration: messages::seconds(120)
            .filter(|_| renew)
            .map(pb::resend_connection_invitation_request::Expiration::Ttl),
        ..Default::default()
    };
    let resend = |rotate, renew| {
        let request = resend(rotate, renew);
        async move { service.connections().resend_connection_invitation(request).await.map(drop) }
    };
    match verb {
        Verb::Accept => redemptions.accept_invitation(messages::accept(token, "bob")).await.map(drop),
        Verb::AcceptAgain => {
            let answer = redemptions.accept_invitation(messages::accept(token, "ann")).await?.into_inner();
            assert!(answer.already_accepted, "ann had accepted");
            Ok(())
        }
        Verb::Decline => redemptions.decline_invitation(messages::decline(token)).await.map(drop),
        Verb::Revoke => messages::revoke(service, &invitation.name).await.map(drop),
        Verb::Resend => resend(false, false).await,
        Verb::Rotate => resend(true, false).await,
        Verb::Renew => resend(false, true).await,
        Verb::RenewAndRotate => resend(true, true).await,
        Verb::RecordCreatedConnection => {
            let request = pb::RecordCreatedConnectionRequest {
                name: invitation.name.clone(),
                connection_id: CREATED.to_owned(),
                status: Some("live".to_owned()),
                ..Default::default()
            };
            service.connections().record_created_connection(request).await.map(drop)
        }
        Verb::Preview => {
            let request = pb::PreviewInvitationRequest { token: token.to_owned() };
            let preview = redemptions.preview_invitation(request).await?.into_inner();
            assert_eq!(preview.state(), invitation.state(), "the preview tells the state");
            Ok(())
        }
        Verb::RecordEngagement => redemptions.record_engagement(messages::view(token)).await.map(drop),
    }
}
