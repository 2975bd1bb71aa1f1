//! The domains whose addresses join a scope: a sync leaves exactly what it names, in the invitation and in its table.

use invitation_service::clock::Clock;
use invitation_service::domain::command::{Action, SyncAutojoin};
use invitation_service::domain::group::Group;
use invitation_service::domain::invitation::Invitation;
use invitation_service::domain::invitation::refusal::Refusal;
use invitation_service::domain::invitation::state::State;
use invitation_service::domain::kind::Scope;
use invitation_service::store::ExecuteError;

use crate::support::build::commands::*;
use crate::support::build::kinds::*;
use crate::support::database::{NEW_YEAR, TestDatabase};
use crate::support::gate::{as_one_group, decide};
use crate::support::on_both;

on_both!(
    migrated:
    sync_makes_changes_empties_and_brings_back,
    revoked_auto_join_makes_room_for_a_new_one,
    syncs_of_one_group_leave_what_the_last_one_says,
    concurrent_syncs_leave_one_auto_join_with_one_list,
    fields_of_a_sync_are_read_back,
    resent_auto_join_shows_its_acceptances,
);

const DOMAINS: &str = "SELECT domain FROM autojoin_domain ORDER BY domain";

fn kept(invitation: &Invitation) -> &[String] {
    &invitation.details.general().unwrap().domains
}

async fn sync_makes_changes_empties_and_brings_back(database: TestDatabase) {
    let (store, clock) = store(&database).await;
    let none = store.executor().execute(command(sync("red", &[])), None).await.unwrap_err();
    assert_eq!(none, ExecuteError::Refused(Refusal::InvitationNotFound));
    let mut first = None;
    for (domains, revision, state) in [
        (&["b.org", "a.org"] as &[&str], 1, State::Active),
        (&["b.org", "a.org"], 1, State::Active),
        (&["b.org", "c.org", "d.org"], 2, State::Active),
        (&[], 3, State::Revoked),
        (&[], 3, State::Revoked),
        (&["b.org"], 4, State::Active),
    ] {
        let synced = store.executor().execute(command(sync("red", domains)), None).await.unwrap().invitation;
        let found = read(&store, synced.id).await;
        assert_eq!((&found, found.revision), (&*synced, revision), "{domains:?}");
        assert_eq!(found.state_at(clock.now()), state);
        assert_eq!(found.facts.revoked_at, None, "what is emptied is not revoked for good");
        assert_eq!(*first.get_or_insert(synced.id), synced.id, "there is one of a scope");
        assert_eq!(kept(&found), domains);
        let mut sorted = domains.to_vec();
        sorted.sort_unstable();
        assert_eq!(texts(&database, DOMAINS).await, sorted);
    }
    let synced = "autojoin.updated";
    let story = story(&store, first.unwrap()).await;
    assert_eq!(story, ["created", synced, synced, synced, synced]);
    store.executor().execute(command(sync("blue", &["b.org"])), None).await.unwrap();
    assert_eq!(texts(&database, DOMAINS).await, ["b.org", "b.org"], "a domain may join several scopes");
}

async fn revoked_auto_join_makes_room_for_a_new_one(database: TestDatabase) {
    let (store, clock) = store(&database).await;
    for emptied in [false, true] {
        let scope = if emptied { "red" } else { "blue" };
        let old = store.executor().execute(command(sync(scope, &["a.org"])), None).await.unwrap().invitation;
        if emptied {
            store.executor().execute(command(sync(scope, &[])), None).await.unwrap();
        }
        store.executor().execute(command(revoke(&old)), None).await.unwrap();
        let new = store.executor().execute(command(sync(scope, &["a.org"])), None).await.unwrap().invitation;
        assert_ne!(new.id, old.id);
        assert_eq!(read(&store, old.id).await.state_at(clock.now()), State::Revoked);
        assert_eq!(read(&store, new.id).await, *new);
    }
}

async fn syncs_of_one_group_leave_what_the_last_one_says(database: TestDatabase) {
    let store = store_with(&database, &Clock::manual(NEW_YEAR), &options(decide)).await;
    // At first it is made in the group, then it is there.
    for _ in 0..2 {
        let syncs = [&["a.org"] as &[&str], &["b.org"], &["a.org", "c.org"], &[], &["c.org", "a.org"]];
        let answers = as_one_group(&store, syncs.map(|domains| command(sync("red", domains)))).await;
        let last = answers.into_iter().map(|answer| answer.unwrap().invitation).next_back().unwrap();
        assert_eq!(read(&store, last.id).await, *last);
        assert_eq!(kept(&last), ["c.org", "a.org"]);
        assert_eq!(texts(&database, DOMAINS).await, ["a.org", "c.org"]);
    }
}

async fn concurrent_syncs_leave_one_auto_join_with_one_list(database: TestDatabase) {
    let clock = Clock::manual(NEW_YEAR);
    let mut stores = vec![store_with(&database, &clock, &options(Group::run)).await];
    if database.url().starts_with("postgres") {
        stores.push(store_with(&database, &clock, &options(Group::run)).await);
    }
    for round in 0..5 {
        let domains = |n: usize| [format!("r{round}.org"), format!("n{n}.org")];
        let syncs = (0..12).map(|n| {
            let [one, other] = domains(n % 4);
            command(sync("red", &[&one, &other]))
        });
        let answers = all_at_once(stores.iter().cycle().cloned().zip(syncs)).await;
        let ids: Vec<_> = answers.into_iter().map(|answer| answer.unwrap().invitation.id).collect();
        assert!(ids.iter().all(|id| *id == ids[0]));
        let found = read(&stores[0], ids[0]).await;
        assert!((0..4).any(|n| kept(&found) == domains(n)), "{:?}", kept(&found));
        let mut sorted = kept(&found).to_vec();
        sorted.sort_unstable();
        assert_eq!(texts(&database, DOMAINS).await, sorted);
    }
}

async fn fields_of_a_sync_are_read_back(database: TestDatabase) {
    let (store, _) = store(&database).await;
    let sync = |name: Option<&str>, widget: Option<&str>, metadata: Option<&str>| {
        command(Action::SyncAutojoin(Box::new(SyncAutojoin {
            scope: Scope { display_name: name.map(str::to_owned), ..Scope::new("team", "red") },
            domains: vec!["a.org".to_owned()],
            widget_configuration_id: widget.map(str::to_owned),
            metadata: metadata.map(str::to_owned),
            etag: None,
        })))
    };
    for (name, widget, metadata) in
        [(None, None, None), (Some("Red"), Some("w 1"), Some("{\"b\": 1, \"a\":2.0}")), (None, Some("w 2"), None)]
    {
        let synced = store.executor().execute(sync(name, widget, metadata), None).await.unwrap().invitation;
        assert_eq!(read(&store, synced.id).await, *synced);
        let column = "SELECT coalesce(widget_configuration_id, 'none') FROM invitation";
        assert_eq!(texts(&database, column).await, [widget.unwrap_or("none")]);
    }
}

async fn resent_auto_join_shows_its_acceptances(database: TestDatabase) {
    let (store, _) = store(&database).await;
    let made = store.executor().execute(command(sync("red", &["example.org"])), None).await.unwrap().invitation;
    store.executor().execute(command(accept_as(&made, "ann", "ann@example.org")), None).await.unwrap();
    let resent = store.executor().execute(command(resend(&made, false, None)), None).await.unwrap().invitation;
    assert_eq!(resent.acceptances.len(), 1);
    assert_eq!(*resent, read(&store, made.id).await);
}
