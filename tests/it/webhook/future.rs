//! Events and endpoints that a newer release has written.

use invitation_service::domain::invitation::event::EventType;
use invitation_service::domain::value::word::Word;
use invitation_service::store::EndpointQuery;

use super::build::Desk;
use super::http_sink::Sink;
use crate::support::build::commands::*;
use crate::support::database::TestDatabase;
use crate::support::on_both;

on_both!(
    migrated:
    posts_an_event_of_an_unknown_type_as_text,
    endpoint_that_cannot_be_read_keeps_no_other_waiting,
    endpoint_of_an_unknown_format_is_tried_again,
);

async fn posts_an_event_of_an_unknown_type_as_text(database: TestDatabase) {
    let (desk, sink) = (Desk::new(&database).await, Sink::start([]).await);
    desk.endpoint(&sink.uri(), &[]).await;
    let (chosen, _) = desk.endpoint(&sink.uri(), &[EventType::Created]).await;
    let (family, _) = desk.endpoint(&sink.uri(), &[EventType::Revoked]).await;
    let (other_family, _) = desk.endpoint(&sink.uri(), &[EventType::Revoked]).await;
    let cast = if desk.is_postgres() { "::jsonb" } else { "" };
    for (endpoint, types) in [
        (&chosen, r#"["invitation.transferred", "acceptance.*"]"#),
        (&family, r#"["delivery.*", "invitation.*"]"#),
        (&other_family, r#"["delivery.*", "autojoin.*"]"#),
    ] {
        let set = format!("UPDATE webhook_endpoint SET event_types = '{types}'{cast} WHERE id = $1");
        desk.rows(&set, [endpoint.id.into()]).await;
    }
    let made = created(&desk.store, link()).await;
    let set = "UPDATE event SET event_type = 'invitation.transferred', kind = 'unheard_of' WHERE invitation_id = $1";
    desk.rows(set, [made.id.0.into()]).await;
    desk.dispatch().await;
    assert_eq!(desk.sender().drain().await.unwrap(), 3);
    assert_eq!(desk.states(&other_family).await.len(), 0);
    for posted in sink.received() {
        let body: serde_json::Value = serde_json::from_str(&posted.body).unwrap();
        assert_eq!(
            (&body["type"], body.get("kind"), body.get("created")),
            (&"invitation.transferred".into(), None, None)
        );
    }
    desk.set_disabled(&chosen, true).await;
    assert_eq!(desk.get(&chosen).await.event_types.len(), 2, "a change of something else keeps the types");
}

async fn endpoint_that_cannot_be_read_keeps_no_other_waiting(database: TestDatabase) {
    let (desk, sink) = (Desk::new(&database).await, Sink::start([]).await);
    let (first, _) = desk.endpoint(&sink.uri(), &[]).await;
    let (broken, _) = desk.endpoint(&sink.uri(), &[]).await;
    let (last, _) = desk.endpoint(&sink.uri(), &[]).await;
    let text = if desk.is_postgres() { "'{\"a\": 1}'::jsonb" } else { "'{broken'" };
    desk.rows(&format!("UPDATE webhook_endpoint SET event_types = {text} WHERE id = $1"), [broken.id.into()]).await;
    created(&desk.store, link()).await;
    desk.dispatch().await;
    assert_eq!(desk.sender().drain().await.unwrap(), 2);
    let query = EndpointQuery { ascending: true, limit: 2, after: None };
    let listed = desk.store.primary().list_webhook_endpoints(&account(), &query).await.unwrap();
    let mut wanted = [first.id, last.id];
    wanted.sort();
    assert_eq!(listed.iter().map(|endpoint| endpoint.id).collect::<Vec<_>>(), wanted);
}

async fn endpoint_of_an_unknown_format_is_tried_again(database: TestDatabase) {
    let (desk, sink) = (Desk::new(&database).await, Sink::start([]).await);
    let (newer, _) = desk.endpoint(&sink.uri(), &[]).await;
    desk.rows("UPDATE webhook_endpoint SET format = 'avro' WHERE id = $1", [newer.id.into()]).await;
    created(&desk.store, link()).await;
    desk.dispatch().await;
    desk.sender().drain().await.unwrap();
    assert_eq!(sink.received().len(), 0, "nothing that the endpoint has not asked for");
    let error = desk.attempts(&newer).await.remove(0).error;
    assert_eq!(error.as_deref(), Some("the format of the endpoint is that of a newer release"));
    assert_eq!(desk.states(&newer).await, ["queued"]);
    desk.set_disabled(&newer, true).await;
    assert_eq!(desk.get(&newer).await.format, Word::Unknown("avro".to_owned()), "a change of something else keeps it");
}
