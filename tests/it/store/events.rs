//! The audit trail under many calls at once.

pub(crate) mod expiry;
pub(crate) mod listener;
pub(crate) mod sequencer;
pub(crate) mod stored;

use std::collections::BTreeSet;

use invitation_service::domain::command::{Command, CreateInvitation};
use invitation_service::domain::invitation::{Engagement, EngagementType};

use crate::support::build::commands::*;
use crate::support::database::TestDatabase;
use crate::support::on_both;

on_both!(migrated: sequences_have_no_gap_whatever_happens_at_once, event_tells_who_what_and_when);

async fn sequences_have_no_gap_whatever_happens_at_once(database: TestDatabase) {
    let (store, _) = store(&database).await;
    let mut invitations = Vec::new();
    for _ in 0..3 {
        invitations.push(created(&store, link()).await);
    }
    let mut commands: Vec<Command> = Vec::new();
    for n in 0..40 {
        for made in &invitations {
            commands.push(command(record(made, EngagementType::View)));
            commands.push(command(record(made, EngagementType::Click)));
            commands.push(command(accept(made, &format!("subject {n}"))));
            commands.push(command(resend(made, false, None)));
        }
        commands.push(command(create(link())));
    }
    for answer in all_at_once(commands.into_iter().map(|command| (store.clone(), command))).await {
        answer.unwrap();
    }
    for made in &invitations {
        let events = events(&store, made.id).await;
        assert_eq!(events.len(), 1 + 4 * 40);
        let ids: BTreeSet<_> = events.iter().map(|event| event.event.id).collect();
        assert_eq!(ids.len(), events.len(), "every event has an id of its own");
        let found = read(&store, made.id).await;
        assert_eq!(found.engagement, Engagement { views: 40, clicks: 40, unfurls: 0 });
        assert_eq!((found.facts.use_count, found.revision), (40, 81));
    }
}

async fn event_tells_who_what_and_when(database: TestDatabase) {
    let (store, clock) = store(&database).await;
    let made = created(&store, CreateInvitation { max_uses: Some(1), ..link() }).await;
    clock.advance(std::time::Duration::from_secs(5));
    let accept = Command { actor: "bot".to_owned(), ..retryable("Accept", "try-1", 1, accept(&made, "ann")) };
    let executed = store.executor().execute(accept, None).await.unwrap();
    let events = events(&store, made.id).await;
    let accepted = &events[1].event;
    assert_eq!(
        (accepted.actor.as_str(), accepted.request_id.as_deref(), accepted.time),
        ("bot", Some("try-1"), clock.now())
    );
    assert_eq!(payload(&events[1])["acceptance"], executed.acceptance.unwrap().id.0.to_string());
    assert_eq!(story(&store, made.id).await, ["created", "accepted", "fulfilled"]);
}
