//! Rows that a newer release has written, as callers meet them.

use std::time::Duration;

use invitation_service::pb;
use sea_orm::{ConnectionTrait, DatabaseConnection, DbBackend, Statement};
use tokio::time::timeout;
use tonic::{Code, Streaming};
use uuid::Uuid;

use crate::support::build::{generals, messages};
use crate::support::database::TestDatabase;
use crate::support::expect::refused;
use crate::support::on_both;
use crate::support::service::Service;

on_both!(migrated: unreadable_invitation_costs_no_other_its_list,
    watch_goes_on_over_events_of_a_newer_release,
    scope_is_revoked_but_for_an_unreadable_invitation,
);

const PATIENCE: Duration = Duration::from_secs(20);

async fn set(raw: &DatabaseConnection, sql: &str, name: &str) {
    let id: Uuid = name.rsplit('/').next().unwrap().parse().unwrap();
    let statement = Statement::from_sql_and_values(raw.get_database_backend(), sql, [id.into()]);
    assert_eq!(raw.execute_raw(statement).await.unwrap().rows_affected(), 1, "{sql}");
}

async fn unreadable_invitation_costs_no_other_its_list(database: TestDatabase) {
    let service = Service::start(&database).await;
    let raw = service.connect().await;
    let mut names = Vec::new();
    for _ in 0..5 {
        service.clock.advance(Duration::from_millis(1));
        names.push(messages::create(&service, messages::invitation()).await.name);
    }
    set(&raw, "UPDATE invitation SET details = '[1]' WHERE id = $1", &names[2]).await;
    let get = pb::GetConnectionInvitationRequest { name: names[2].clone() };
    refused(service.connections().get_connection_invitation(get).await, Code::Internal, "INTERNAL");

    let (mut listed, mut page_token) = (Vec::new(), String::new());
    loop {
        let request = pb::ListConnectionInvitationsRequest {
            page_size: 2,
            page_token,
            order_by: "create_time".to_owned(),
            ..Default::default()
        };
        let page = service.connections().list_connection_invitations(request).await.unwrap().into_inner();
        listed.extend(page.connection_invitations.into_iter().map(|invitation| invitation.name));
        page_token = page.next_page_token;
        if page_token.is_empty() {
            break;
        }
    }
    names.remove(2);
    assert_eq!(listed, names);
    service.stop().await;
}

async fn next(stream: &mut Streaming<pb::WatchEventsResponse>) -> pb::Event {
    timeout(PATIENCE, messages::next_event(stream)).await.expect("something happens").unwrap()
}

/// Makes an invitation and waits until its event has its place. Returns its name and where a watch goes on behind it.
async fn placed(service: &Service) -> (String, String) {
    let name = messages::create(service, messages::invitation()).await.name;
    loop {
        let token = messages::events(service, &name).await.remove(0).resume_token;
        if !token.is_empty() {
            return (name, token);
        }
        tokio::task::yield_now().await;
    }
}

async fn watch_goes_on_over_events_of_a_newer_release(database: TestDatabase) {
    let service = Service::start(&database).await;
    let raw = service.connect().await;
    let (_, resume_token) = placed(&service).await;
    let (unknown, unreadable) = (placed(&service).await.0, placed(&service).await.0);
    let last = placed(&service).await.0;
    let future = "UPDATE event SET event_type = 'invitation.transferred', kind = 'unheard_of' WHERE invitation_id = $1";
    set(&raw, future, &unknown).await;
    set(&raw, "UPDATE event SET data = '[]' WHERE invitation_id = $1", &unreadable).await;

    let mut watch = service.events().watch_events(messages::watch(&resume_token)).await.unwrap().into_inner();
    let event = next(&mut watch).await;
    assert_eq!((event.r#type.as_str(), event.kind()), ("invitation.transferred", pb::InvitationKind::Unspecified));
    let event = next(&mut watch).await;
    assert_eq!(event.r#type, "invitation.created");
    assert!(event.name.rsplit_once("/events/").unwrap().0.ends_with(last.rsplit('/').next().unwrap()));
    service.stop().await;
}

/// The call says that not all of the scope is revoked, again and again, until the invitation can be read.
async fn scope_is_revoked_but_for_an_unreadable_invitation(database: TestDatabase) {
    let service = Service::start(&database).await;
    let raw = service.connect().await;
    for (number, [damage, cure]) in [
        ["details = '[1]'", "details = (SELECT i.details FROM invitation i WHERE i.details <> '[1]' LIMIT 1)"],
        ["kind = 'unheard_of'", "kind = 'general'"],
    ]
    .into_iter()
    .enumerate()
    {
        let team = format!("team-{number}");
        let mut names = Vec::new();
        for _ in 0..6 {
            names.push(generals::create(&service, generals::into(&team, &[])).await.name);
        }
        let sql = |change: &str| {
            let change = if raw.get_database_backend() == DbBackend::Postgres {
                change.replace("details <>", "details::text <>")
            } else {
                change.to_owned()
            };
            format!("UPDATE invitation SET {change} WHERE id = $1")
        };
        set(&raw, &sql(damage), &names[3]).await;
        for request_id in ["", "once", "once"] {
            let request = pb::RevokeInvitationsRequest {
                filter: generals::in_scope("team", &team),
                request_id: if request_id.is_empty() { String::new() } else { format!("{request_id}-{number}") },
                ..Default::default()
            };
            refused(service.invitations().revoke_invitations(request).await, Code::Internal, "INTERNAL");
        }
        for name in names.iter().enumerate().filter(|(row, _)| *row != 3).map(|(_, name)| name) {
            assert_eq!(messages::get_general(&service, name).await.state(), pb::InvitationState::Revoked, "{damage}");
        }
        set(&raw, &sql(cure), &names[3]).await;
        let request = pb::RevokeInvitationsRequest {
            filter: generals::in_scope("team", &team),
            request_id: format!("once-{number}"),
            ..Default::default()
        };
        let answer = service.invitations().revoke_invitations(request).await.unwrap().into_inner();
        assert_eq!(answer.revoked_count, 1, "{damage}");
    }
    service.stop().await;
}
