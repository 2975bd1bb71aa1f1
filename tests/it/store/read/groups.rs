//! Lists by scope, which a group is as good as, by address, and by what a general invitation was made with.

use std::time::Duration;

use invitation_service::domain::command::{Action, DeleteInvitation};
use invitation_service::domain::invitation::recipient::AddressType;
use invitation_service::domain::invitation::state::State;
use invitation_service::domain::kind::{Kind, Scope};
use invitation_service::store::InvitationQuery;

use super::build::*;
use crate::support::build::commands::*;
use crate::support::database::TestDatabase;
use crate::support::on_both;

on_both!(
    migrated:
    group_is_as_good_as_a_scope_and_no_row_is_there_twice,
    addresses_are_found_whole_by_their_beginning_and_by_a_part,
    general_invitation_is_found_by_its_fields,
    deleted_invitations_are_there_for_those_who_ask_for_them,
);

async fn group_is_as_good_as_a_scope_and_no_row_is_there_twice(database: TestDatabase) {
    let (store, clock) = store(&database).await;
    let connection = database.connect().await;
    let (team, site, other) = (Scope::new("team", "1"), Scope::new("site", "1"), Scope::new("team", "2"));
    let mut wanted = Vec::new();
    for n in 0..12 {
        // Some of the same moment, so that ids have to tell rows of two sources apart.
        clock.advance(Duration::from_micros(u64::from(n % 3 == 0)));
        let create = match n % 4 {
            0 => general(&team, &[], &[]),
            1 => general(&site, &[&team, &other], &[]),
            2 => general(&team, &[&team, &site], &[]),
            _ => general(&other, &[&site], &[]),
        };
        let id = created(&store, create).await.id;
        if n % 4 != 3 {
            wanted.push((clock.now(), id));
        }
    }
    foreign(&store, general(&team, &[&team], &[])).await;
    wanted.sort();
    let ascending: Vec<_> = wanted.iter().map(|(_, id)| *id).collect();
    let descending: Vec<_> = ascending.iter().copied().rev().collect();

    let query = InvitationQuery { scope: Some(team.clone()), ..all() };
    assert_eq!(ids(&store, &query).await, descending);
    assert_eq!(store.primary().count_invitations(&reach(), &query, 100).await.unwrap().found, 9);
    for limit in 1..=4 {
        assert_eq!(walk(&store, &query, limit).await, descending, "{limit}");
        let ascends = InvitationQuery { ascending: true, ..query.clone() };
        assert_eq!(walk(&store, &ascends, limit).await, ascending, "{limit}");
    }
    for skip in 0..10 {
        let query = InvitationQuery { skip, limit: 3, ..query.clone() };
        let from = usize::try_from(skip).unwrap();
        assert_eq!(ids(&store, &query).await, descending[from..9.min(from + 3)], "{skip}");
    }
    let guests = InvitationQuery { kinds: vec![Kind::Guest], ..query.clone() };
    assert!(ids(&store, &guests).await.is_empty());
    let wrong = InvitationQuery { scope: Some(Scope::new("site", "2")), ..all() };
    assert!(ids(&store, &wrong).await.is_empty());

    let mut names = Vec::new();
    let mut query = InvitationQuery { limit: 4, states: vec![State::Active, State::Expired], ..query };
    loop {
        let page = store.list_names(&reach(), &query).await.unwrap();
        let Some(last) = page.last() else { break };
        query.after = Some(last.cursor.clone());
        names.extend(page.iter().map(|name| name.id));
        for name in page {
            set(&database, &connection, name.id, "revoked_at = 1").await;
        }
    }
    assert_eq!(names, descending);
}

async fn addresses_are_found_whole_by_their_beginning_and_by_a_part(database: TestDatabase) {
    let (store, clock) = store(&database).await;
    let mut made = Vec::new();
    for address in ["a_b@x.org", "Ab@x.org", "a%b@x.org", "acb@x.org", "zoë@x.org"] {
        clock.advance(Duration::from_secs(1));
        made.push(created(&store, user(address)).await.id);
    }
    clock.advance(Duration::from_secs(1));
    foreign(&store, user("ab@x.org")).await;
    // Several addresses of one invitation begin alike.
    let many = invitation_service::domain::command::CreateInvitation { recipients: emails(3), ..link() };
    made.push(created(&store, many).await.id);

    let prefix = |value: &str| InvitationQuery { email_prefix: Some(value.to_owned()), ..all() };
    let part = |value: &str| InvitationQuery { email_query: Some(value.to_owned()), ..all() };
    let whole = |sort, value: &str| InvitationQuery { target: Some(address(sort, value)), ..all() };
    let users = |query| InvitationQuery { kinds: vec![Kind::User], ..query };
    for (number, (query, wanted)) in [
        (prefix("a"), vec![3, 2, 1, 0]),
        (prefix("a_"), vec![0]),
        (prefix("a%"), vec![2]),
        (prefix("ab@x.org"), vec![1]),
        (prefix("ab@x.orgs"), vec![]),
        (prefix("A"), vec![]),
        (prefix("zo"), vec![4]),
        (prefix("zoë"), vec![4]),
        (prefix(""), vec![5, 4, 3, 2, 1, 0]),
        (prefix("person"), vec![5]),
        (users(prefix("person")), vec![]),
        (InvitationQuery { ascending: true, limit: 2, ..prefix("a") }, vec![0, 1]),
        (part("_"), vec![0]),
        (part("%"), vec![2]),
        (part("b@x.or"), vec![3, 2, 1, 0]),
        (part("oë@"), vec![4]),
        (part("'"), vec![]),
        (users(part("example")), vec![]),
        (part("example"), vec![5]),
        (users(all()), vec![4, 3, 2, 1, 0]),
        (users(whole(AddressType::Email, "AB@X.org")), vec![1]),
        (whole(AddressType::Email, "person.1@example.org"), vec![5]),
        (InvitationQuery { email_prefix: Some("a".to_owned()), ..whole(AddressType::Email, "zoë@x.org") }, vec![]),
        (whole(AddressType::Internal, "ab@x.org"), vec![]),
    ]
    .into_iter()
    .enumerate()
    {
        let wanted: Vec<_> = wanted.into_iter().map(|index: usize| made[index]).collect();
        assert_eq!(ids(&store, &query).await, wanted, "query {number}");
        let counted = store.primary().count_invitations(&reach(), &query, 100).await.unwrap().found;
        assert!(counted == wanted.len() as u64 || query.limit < counted, "query {number}");
    }
}

async fn general_invitation_is_found_by_its_fields(database: TestDatabase) {
    let (store, clock) = store(&database).await;
    let scope = Scope::new("team", "1");
    let ann = address(AddressType::Internal, "ann");
    let first = created(&store, general(&scope, &[], std::slice::from_ref(&ann))).await.id;
    clock.advance(Duration::from_secs(1));
    let phone = address(AddressType::Phone, "+4930123456");
    let second = created(&store, general(&scope, &[], &[ann.clone(), phone.clone()])).await.id;
    clock.advance(Duration::from_secs(1));
    let shared = created(&store, general(&scope, &[], &[address(AddressType::Share, "ann")])).await.id;

    let sync = InvitationQuery {
        kinds: vec![Kind::General],
        states: vec![State::Active],
        inviter_user_id: Some("inviter-1".to_owned()),
        widget_configuration_id: Some("widget-1".to_owned()),
        target: Some(ann),
        ..all()
    };
    let names = store.list_names(&reach(), &sync).await.unwrap();
    assert_eq!(names.iter().map(|name| name.id).collect::<Vec<_>>(), [second, first]);
    for (query, wanted) in [
        (InvitationQuery { inviter_user_id: Some("inviter-1".to_owned()), ..all() }, vec![shared, second, first]),
        (InvitationQuery { inviter_user_id: Some("inviter-2".to_owned()), ..all() }, vec![]),
        (InvitationQuery { widget_configuration_id: Some("widget".to_owned()), ..sync.clone() }, vec![]),
        (InvitationQuery { target: Some(phone), ..sync.clone() }, vec![second]),
        (InvitationQuery { scope: Some(scope), ..sync.clone() }, vec![second, first]),
        (InvitationQuery { scope: Some(Scope::new("team", "2")), ..sync.clone() }, vec![]),
        (InvitationQuery { kinds: vec![Kind::General, Kind::User], ..sync }, vec![second, first]),
    ] {
        assert_eq!(ids(&store, &query).await, wanted, "{query:?}");
    }
}

async fn deleted_invitations_are_there_for_those_who_ask_for_them(database: TestDatabase) {
    let (store, _) = store(&database).await;
    let made = created(&store, user("ann@example.org")).await;
    store.executor().execute(command(Action::Delete(DeleteInvitation { target: target(&made) })), None).await.unwrap();
    assert!(ids(&store, &all()).await.is_empty());
    let everything = InvitationQuery { include_deleted: true, ..all() };
    assert_eq!(ids(&store, &everything).await, [made.id]);
}
