//! Calls over many invitations that are interrupted, or were begun by an older release: a retry finishes the first call's work
//! and touches nothing that came later.

use std::collections::BTreeSet;
use std::time::Duration;

use invitation_service::pb;
use invitation_service::pb::InvitationState;
use sea_orm::{ConnectionTrait, DatabaseConnection, DbBackend};
use tonic::Code;

use crate::support::build::generals::{internal, into, into_team};
use crate::support::build::{generals, messages};
use crate::support::database::TestDatabase;
use crate::support::expect::refused;
use crate::support::on_both;
use crate::support::service::Service;

on_both!(migrated: retried_sweep_leaves_alone_what_came_later,
    interrupted_sweep_is_finished_by_its_retry,
    interrupted_sync_is_finished_by_its_retry,
    call_of_an_older_release_is_answered_as_before,
    part_that_found_nothing_to_do_does_nothing_later,
    calls_without_an_invitation_in_common_share_no_request_id,
);

/// Lets the database refuse every change of one invitation.
async fn protect(database: &DatabaseConnection, name: &str) {
    let hex = name.split('/').next_back().unwrap().replace('-', "");
    let statements = match database.get_database_backend() {
        DbBackend::Postgres => vec![
            "CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RAISE ''no''; END'".to_owned(),
            format!(
                "CREATE TRIGGER protected BEFORE UPDATE ON invitation FOR EACH ROW WHEN (OLD.id = '{hex}'::uuid)
                EXECUTE FUNCTION refuse()"
            ),
        ],
        _ => vec![format!(
            "CREATE TRIGGER protected BEFORE UPDATE ON invitation WHEN OLD.id = x'{hex}'
            BEGIN SELECT RAISE(ABORT, 'no'); END"
        )],
    };
    run(database, &statements).await;
}

async fn unprotect(database: &DatabaseConnection) {
    let on = if database.get_database_backend() == DbBackend::Postgres { " ON invitation" } else { "" };
    run(database, &[format!("DROP TRIGGER protected{on}")]).await;
}

async fn run(database: &DatabaseConnection, statements: &[String]) {
    for statement in statements {
        database.execute_unprepared(statement).await.unwrap();
    }
}

fn sweep(id: &str) -> pb::RevokeInvitationsRequest {
    pb::RevokeInvitationsRequest {
        filter: generals::in_scope("team", "red"),
        request_id: id.to_owned(),
        ..Default::default()
    }
}

async fn revoked(service: &Service, request: pb::RevokeInvitationsRequest) -> i32 {
    loop {
        let answer = service.invitations().revoke_invitations(request.clone()).await.unwrap().into_inner();
        if !answer.more {
            return answer.revoked_count;
        }
    }
}

async fn state(service: &Service, name: &str) -> InvitationState {
    messages::get_general(service, name).await.state()
}

async fn retried_sweep_leaves_alone_what_came_later(database: TestDatabase) {
    let service = Service::start(&database).await;
    for (id, count) in [("empty", 0), ("three", 3)] {
        for _ in 0..count {
            generals::create(&service, into_team(&[])).await;
        }
        assert_eq!(revoked(&service, sweep(id)).await, count);
        // At the very same moment, and later.
        let mut later = vec![generals::create(&service, into_team(&[])).await.name];
        service.clock.advance(Duration::from_secs(1));
        later.push(generals::create(&service, into_team(&[])).await.name);
        assert_eq!(revoked(&service, sweep(id)).await, count, "what the lost answer said");
        for name in later {
            assert_eq!(state(&service, &name).await, InvitationState::Active);
            generals::revoke(&service, &name).await;
        }
        let other = pb::RevokeInvitationsRequest { filter: generals::in_scope("team", "blue"), ..sweep(id) };
        let other = service.invitations().revoke_invitations(other).await;
        refused(other, Code::FailedPrecondition, "REQUEST_ID_REUSED");
    }
    service.stop().await;
}

async fn interrupted_sweep_is_finished_by_its_retry(database: TestDatabase) {
    let service = Service::start(&database).await;
    let oldest = generals::create(&service, into_team(&[])).await.name;
    service.clock.advance(Duration::from_secs(1));
    for _ in 0..3 {
        let requests = vec![messages::general(into_team(&[])); 350];
        let batch = pb::BatchCreateInvitationsRequest { requests, ..Default::default() };
        service.invitations().batch_create_invitations(batch).await.unwrap();
    }
    let past_the_service = database.connect().await;
    protect(&past_the_service, &oldest).await;
    refused(service.invitations().revoke_invitations(sweep("r")).await.map(drop), Code::Internal, "INTERNAL");
    unprotect(&past_the_service).await;
    past_the_service.close().await.unwrap();
    assert_eq!(state(&service, &oldest).await, InvitationState::Active, "it is in the second chunk");
    service.clock.advance(Duration::from_secs(1));
    let later = generals::create(&service, into_team(&[])).await.name;
    service.stop().await;

    let service = Service::start(&database).await;
    service.clock.advance(Duration::from_secs(60));
    for _ in 0..2 {
        assert_eq!(revoked(&service, sweep("r")).await, 1_051, "by both calls together");
        assert_eq!(state(&service, &oldest).await, InvitationState::Revoked);
        assert_eq!(state(&service, &later).await, InvitationState::Active);
    }
    service.stop().await;
}

fn sync(id: &str) -> pb::SyncInternalInvitationRequest {
    pb::SyncInternalInvitationRequest {
        inviter_user_id: "boss".to_owned(),
        target_value: "ann".to_owned(),
        action: pb::InternalInvitationAction::Accepted.into(),
        request_id: id.to_owned(),
        ..Default::default()
    }
}

fn by_boss(team: &str) -> pb::Invitation {
    let inviter = Some(pb::Inviter { user_id: "boss".to_owned(), ..Default::default() });
    pb::Invitation { inviter, ..into(team, &[internal("ann")]) }
}

async fn synced(service: &Service, id: &str) -> BTreeSet<String> {
    let answer = service.invitations().sync_internal_invitation(sync(id)).await.unwrap().into_inner();
    assert_eq!(usize::try_from(answer.processed_count).unwrap(), answer.names.len());
    answer.names.into_iter().collect()
}

async fn interrupted_sync_is_finished_by_its_retry(database: TestDatabase) {
    let service = Service::start(&database).await;
    let mut names = BTreeSet::new();
    for team in ["red", "blue", "green"] {
        names.insert(generals::create(&service, by_boss(team)).await.name);
    }
    let past_the_service = database.connect().await;
    protect(&past_the_service, names.first().unwrap()).await;
    let failed = service.invitations().sync_internal_invitation(sync("r")).await;
    refused(failed, Code::Internal, "INTERNAL");
    unprotect(&past_the_service).await;
    past_the_service.close().await.unwrap();
    service.clock.advance(Duration::from_secs(1));
    let later = generals::create(&service, by_boss("later")).await.name;
    for _ in 0..2 {
        assert_eq!(synced(&service, "r").await, names, "by both calls together");
        assert_eq!(state(&service, &later).await, InvitationState::Active);
    }
    assert_eq!(synced(&service, "other").await, [later].into());
    service.stop().await;
}

/// An older release remembered the parts of a call, but neither the call nor how many things it changed.
async fn call_of_an_older_release_is_answered_as_before(database: TestDatabase) {
    let service = Service::start(&database).await;
    let mut names = BTreeSet::new();
    for team in ["red", "blue"] {
        names.insert(generals::create(&service, by_boss(team)).await.name);
        generals::create(&service, into_team(&[])).await;
    }
    let accept = pb::AcceptInvitationsRequest {
        entries: generals::entries(&[generals::create(&service, into("open", &[])).await.name]),
        acceptor: Some(generals::subject("ann")),
        request_id: "accept".to_owned(),
        ..Default::default()
    };
    let accepted = service.invitations().accept_invitations(accept.clone()).await.unwrap().into_inner();
    assert_eq!(synced(&service, "sync").await, names);
    assert_eq!(revoked(&service, sweep("sweep")).await, 2);
    let older =
        ["DELETE FROM request WHERE request_id IN ('sync', 'sweep', 'accept')", "UPDATE request SET changed = NULL"];
    let past_the_service = database.connect().await;
    run(&past_the_service, &older.map(str::to_owned)).await;
    past_the_service.close().await.unwrap();

    service.clock.advance(Duration::from_secs(1));
    let later = [by_boss("later"), into_team(&[])];
    let later =
        [generals::create(&service, later[0].clone()).await, generals::create(&service, later[1].clone()).await];
    let other = pb::RevokeInvitationsRequest { filter: generals::in_scope("team", "blue"), ..sweep("sweep") };
    let other = service.invitations().revoke_invitations(other).await;
    refused(other, Code::FailedPrecondition, "REQUEST_ID_REUSED");
    for _ in 0..2 {
        assert_eq!(synced(&service, "sync").await, names);
        assert_eq!(revoked(&service, sweep("sweep")).await, 2);
        let again = service.invitations().accept_invitations(accept.clone()).await.unwrap().into_inner();
        assert_eq!(again, accepted);
    }
    for later in later {
        assert_eq!(state(&service, &later.name).await, InvitationState::Active);
    }
    service.stop().await;
}

async fn part_that_found_nothing_to_do_does_nothing_later(database: TestDatabase) {
    let service = Service::start(&database).await;
    let there = generals::create(&service, into_team(&[internal("ann")])).await;
    let accepted = generals::create(&service, into("open", &[])).await.name;
    generals::accept(&service, &[&accepted], generals::subject("ann")).await;

    let returning = generals::with_conflict(into_team(&[internal("ann")]), pb::OnConflict::ReturnExisting);
    let requests = vec![returning, messages::general(into_team(&[internal("bob")]))];
    let batch = pb::BatchCreateInvitationsRequest { requests, request_id: "r".to_owned(), ..Default::default() };
    let names = async || {
        let answer = service.invitations().batch_create_invitations(batch.clone()).await.unwrap().into_inner();
        let name = |result: pb::BatchCreateInvitationsResult| match result.result.unwrap() {
            pb::batch_create_invitations_result::Result::Invitation(made) => made.name,
            pb::batch_create_invitations_result::Result::Error(error) => panic!("{error:?}"),
        };
        answer.results.into_iter().map(name).collect::<Vec<_>>()
    };
    let first = names().await;
    assert_eq!(first[0], there.name);
    generals::revoke(&service, &there.name).await;
    assert_eq!(names().await, first, "the one that was there then");

    let open = generals::create(&service, into("open", &[])).await.name;
    let accept = pb::AcceptInvitationsRequest {
        entries: generals::entries(&[accepted, open]),
        acceptor: Some(generals::subject("ann")),
        request_id: "r".to_owned(),
        ..Default::default()
    };
    let first = service.invitations().accept_invitations(accept.clone()).await.unwrap().into_inner();
    assert_eq!(first.results.iter().map(|result| result.already_accepted).collect::<Vec<_>>(), [true, false]);
    let again = service.invitations().accept_invitations(accept).await.unwrap().into_inner();
    assert_eq!(again, first);
    service.stop().await;
}

async fn calls_without_an_invitation_in_common_share_no_request_id(database: TestDatabase) {
    let service = Service::start(&database).await;
    let mut made = Vec::new();
    for _ in 0..4 {
        made.push(generals::create(&service, into("open", &[])).await.name);
    }
    let accept = |names: &[String]| pb::AcceptInvitationsRequest {
        entries: generals::entries(names),
        acceptor: Some(generals::subject("ann")),
        request_id: "r".to_owned(),
        ..Default::default()
    };
    service.invitations().accept_invitations(accept(&made[..2])).await.unwrap();
    for names in [&made[2..], &made[1..], &made[..1]] {
        let other = service.invitations().accept_invitations(accept(names)).await;
        refused(other, Code::FailedPrecondition, "REQUEST_ID_REUSED");
    }
    for (name, uses) in made.iter().zip([1, 1, 0, 0]) {
        assert_eq!(messages::get_general(&service, name).await.use_count, uses);
    }

    generals::create(&service, by_boss("red")).await;
    synced(&service, "r").await;
    let other = generals::create(&service, pb::Invitation { targets: vec![internal("bob")], ..by_boss("red") }).await;
    let sent = pb::SyncInternalInvitationRequest { target_value: "bob".to_owned(), ..sync("r") };
    let reused = service.invitations().sync_internal_invitation(sent).await;
    refused(reused, Code::FailedPrecondition, "REQUEST_ID_REUSED");
    assert_eq!(state(&service, &other.name).await, InvitationState::Active);
    service.stop().await;
}
