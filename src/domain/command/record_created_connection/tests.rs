//! The callers who may create, update and add the connections of an invitation.

use crate::domain::kind::shared::SharedDetails;
use uuid::Uuid;

use crate::domain::decide::tests::{after, is_nothing, run_on};
use crate::domain::decide::{AcceptanceChange, Changes};
use crate::domain::fixtures::{
    NOW, accept, accept_with, acceptor, command, connection, early, in_state, invitation, loaded, minutes, update,
};
use crate::domain::group::loaded::Loaded;
use crate::domain::invitation::Invitation;
use crate::domain::invitation::acceptance::Acceptance;
use crate::domain::invitation::refusal::Refusal;
use crate::domain::invitation::state::State;
use crate::domain::kind::Details;
use crate::domain::kind::connection::{ConnectionDetails, ConnectionPurpose, CreatedConnection, NewConnection};
use crate::domain::value::id::AcceptanceId;

const BARE: AcceptanceId = AcceptanceId(Uuid::from_u128(0xacc2));
const UNKNOWN: AcceptanceId = AcceptanceId(Uuid::from_u128(0xacc9));

/// Returns an acceptance without a connection.
fn bare(invitation: &Invitation) -> Acceptance {
    Acceptance::new(BARE, invitation.id, &acceptor("bare"), (None, None), None, minutes(-40))
}

/// Returns the acceptances of `early`, with connection 1, and of `bare`, without one.
fn accepted() -> (Invitation, Loaded) {
    let mut invitation = invitation(0, None);
    invitation.facts.use_count = 2;
    invitation.acceptances = vec![bare(&invitation), early(&invitation)];
    let loaded = loaded(&invitation, &invitation.acceptances);
    (invitation, loaded)
}

fn editing() -> Invitation {
    let mut invitation = invitation(0, None);
    let purpose = ConnectionPurpose::EditConnection { connection_id: Uuid::from_u128(1) };
    invitation.details = Details::Connection(ConnectionDetails {
        company_id: Uuid::from_u128(0xc0),
        purpose,
        shared: SharedDetails::default(),
    });
    invitation
}

fn created(changes: &Changes) -> Option<&CreatedConnection> {
    match changes.acceptance.as_ref()? {
        AcceptanceChange::Create(acceptance)
        | AcceptanceChange::Update(acceptance)
        | AcceptanceChange::Resume(acceptance)
        | AcceptanceChange::Stop(acceptance) => acceptance.created_connection.as_ref(),
    }
}

#[test]
fn accept_refuses_a_connection_id_that_the_invitation_has() {
    let (invitation, loaded) = accepted();
    let link = invitation.claims(0);
    let brought = |id| run_on(&loaded, &command(1, accept_with(link, acceptor("late"), Some(connection(id, "NEW")))));
    let wanted = CreatedConnection { connection: connection(2, "NEW"), created_at: NOW };
    assert_eq!(created(&brought(2).unwrap().changes), Some(&wanted));
    assert_eq!(brought(1).unwrap_err(), Refusal::CreatedConnectionExists(Uuid::from_u128(1)));
}

#[test]
fn one_connection_may_be_made_by_two_invitations() {
    let (invitation, mut loaded) = accepted();
    let mut other = invitation.clone();
    other.id.0 = Uuid::from_u128(9);
    loaded.put_invitation(other.clone());
    let same = accept_with(other.claims(0), acceptor("late"), Some(connection(1, "NEW")));
    assert!(run_on(&loaded, &command(1, same)).is_ok());
}

#[test]
fn invitation_to_repair_a_connection_makes_none() {
    let editing = editing();
    let loaded = loaded(&editing, &[bare(&editing)]);
    let link = editing.claims(0);
    for (action, field) in [
        (accept_with(link, acceptor("late"), Some(connection(2, "NEW"))), "created_connection"),
        (update(&editing, connection(2, "NEW"), Some(BARE)), "name"),
        (update(&editing, connection(2, "NEW"), None), "name"),
    ] {
        let refusal = run_on(&loaded, &command(1, action)).unwrap_err();
        assert!(matches!(refusal, Refusal::InvalidField { field: at, .. } if at == field), "{refusal:?}");
    }
    assert!(run_on(&loaded, &command(1, accept(link, acceptor("late")))).is_ok());
}

type Expected = Result<AcceptanceId, Refusal>;

#[test]
fn update_finds_its_acceptance_by_connection_or_name() {
    let (invitation, loaded) = accepted();
    let early = early(&invitation).id;
    let id = Uuid::from_u128;
    let unknown = || Err(Refusal::AcceptanceNotFound(invitation.id, UNKNOWN));
    let cases: [(NewConnection, Option<AcceptanceId>, Expected); 8] = [
        (connection(1, "DOWN"), None, Ok(early)),
        (connection(1, "DOWN"), Some(early), Ok(early)),
        (connection(2, "NEW"), Some(BARE), Ok(BARE)),
        (connection(2, "NEW"), None, Err(Refusal::CreatedConnectionNotFound(id(2)))),
        (connection(2, "NEW"), Some(early), Err(Refusal::CreatedConnectionExists(id(2)))),
        (connection(1, "DOWN"), Some(BARE), Err(Refusal::CreatedConnectionExists(id(1)))),
        (connection(2, "NEW"), Some(UNKNOWN), unknown()),
        (connection(1, "DOWN"), Some(UNKNOWN), unknown()),
    ];
    for (connection, acceptance, expected) in cases {
        let case = format!("{connection:?} {acceptance:?}");
        let result = run_on(&loaded, &command(1, update(&invitation, connection.clone(), acceptance)));
        let changes = match (result, expected) {
            (Err(refusal), Err(expected)) => {
                assert_eq!(refusal, expected, "{case}");
                continue;
            }
            (Ok(decided), Ok(changed)) => {
                let Some(AcceptanceChange::Update(acceptance)) = &decided.changes.acceptance else { panic!("{case}") };
                assert_eq!(acceptance.id, changed, "{case}");
                decided.changes
            }
            (result, expected) => panic!("{case}: {result:?}, not {expected:?}"),
        };
        let first_known = if connection.id == id(1) { minutes(-50) } else { NOW };
        let wanted = CreatedConnection { connection, created_at: first_known };
        assert_eq!(created(&changes), Some(&wanted), "{case}");
        let shown = after(&changes).unwrap().acceptances.iter().filter_map(|shown| shown.created_connection.as_ref());
        assert!(shown.into_iter().any(|shown| *shown == wanted), "{case}: the answer shows it");
    }
}

#[test]
fn acceptance_of_another_invitation_is_unknown() {
    let (invitation, mut loaded) = accepted();
    let mut other = invitation.clone();
    other.id.0 = Uuid::from_u128(9);
    loaded.put_invitation(other.clone());
    for (connection, acceptance, refusal) in [
        (connection(2, "NEW"), Some(BARE), Refusal::AcceptanceNotFound(other.id, BARE)),
        (connection(1, "DOWN"), None, Refusal::CreatedConnectionNotFound(Uuid::from_u128(1))),
    ] {
        let result = run_on(&loaded, &command(1, update(&other, connection, acceptance)));
        assert_eq!(result.unwrap_err(), refusal);
    }
}

#[test]
fn update_to_what_is_already_so_changes_nothing_in_any_state() {
    for state in State::ALL {
        let invitation = in_state(state);
        let loaded = loaded(&invitation, &[early(&invitation)]);
        for acceptance in [None, Some(early(&invitation).id)] {
            let same = command(1, update(&invitation, connection(1, "LIVE"), acceptance));
            assert!(is_nothing(&run_on(&loaded, &same).unwrap().changes), "{state:?}");
        }
    }
}
