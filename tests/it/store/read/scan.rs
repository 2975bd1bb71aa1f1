//! A list that looks at a limited number of rows for a page has the same rows as one that does not.

use invitation_service::domain::invitation::recipient::AddressType;
use invitation_service::domain::invitation::state::State;
use invitation_service::domain::kind::Scope;
use invitation_service::domain::value::id::InvitationId;
use invitation_service::store::{Cursor, InvitationQuery, Listed, Page, Store};

use super::build::*;
use crate::support::build::commands::*;
use crate::support::database::TestDatabase;
use crate::support::on_both;

on_both!(migrated: short_pages_make_the_same_list, page_without_rows_says_where_the_list_goes_on);

const SCAN: u64 = 5;
const PAGE: u64 = 3;

/// Follows a list, and returns its rows and how many pages it had.
async fn follow(read: impl AsyncFn(Option<Cursor>) -> Listed) -> (Vec<InvitationId>, usize) {
    let (mut seen, mut pages, mut after) = (Vec::new(), 0, None);
    loop {
        let page = read(after).await;
        pages += 1;
        assert!(page.len() as u64 <= PAGE && page.goes_on.is_none() | ((page.len() as u64) < PAGE), "{page:?}");
        seen.extend(page.iter().map(|row| row.found.id));
        after = match (&page.goes_on, page.last()) {
            (Some(cursor), _) => Some(cursor.clone()),
            (None, Some(last)) if page.len() as u64 == PAGE => Some(Cursor::of_invitation(last)),
            _ => return (seen, pages),
        };
    }
}

async fn filled(database: &TestDatabase) -> Store {
    let (store, _) = store(database).await;
    let (red, blue) = (Scope::new("team", "red"), Scope::new("team", "blue"));
    for number in 0..40 {
        let (scope, groups) = if number % 2 == 0 { (&red, vec![&blue]) } else { (&blue, vec![]) };
        let mut invitation = general(scope, &groups, &[address(AddressType::Internal, "ann")]);
        let labels = ["two", "three"].iter().zip([2, 3]).filter(|(_, every)| number % every == 0);
        invitation.labels = labels.map(|(key, _)| ((*key).to_owned(), "x".to_owned())).collect();
        let made = created(&store, invitation).await;
        if number % 9 == 4 {
            store.executor().execute(command(revoke(&made)), None).await.unwrap();
        }
    }
    store
}

async fn short_pages_make_the_same_list(database: TestDatabase) {
    let store = filled(&database).await;
    let revoked = || InvitationQuery { states: vec![State::Revoked], ..InvitationQuery::default() };
    let labels = |keys: &[&str]| keys.iter().map(|key| ((*key).to_owned(), "x".to_owned())).collect();
    let target = Some(address(AddressType::Internal, "ann"));
    for query in [
        InvitationQuery::default(),
        revoked(),
        InvitationQuery { target: target.clone(), ..revoked() },
        InvitationQuery { scope: Some(Scope::new("team", "blue")), ..revoked() },
        InvitationQuery { scope: Some(Scope::new("team", "red")), labels: labels(&["three"]), ..revoked() },
        InvitationQuery { labels: labels(&["two", "three"]), ..InvitationQuery::default() },
        InvitationQuery { labels: labels(&["three"]), target, ..InvitationQuery::default() },
        InvitationQuery { inviter_user_id: Some("inviter-1".to_owned()), ..revoked() },
        InvitationQuery { widget_configuration_id: Some("widget-2".to_owned()), ..InvitationQuery::default() },
    ] {
        for ascending in [true, false] {
            let query = InvitationQuery { ascending, ..query.clone() };
            let whole = ids(&store, &InvitationQuery { limit: 1_000, ..query.clone() }).await;
            let (seen, _) = follow(async |after| {
                let query = InvitationQuery { scan: Some(SCAN), limit: PAGE, after, ..query.clone() };
                store.primary().list_invitations(&reach(), &query).await.unwrap()
            })
            .await;
            assert_eq!(seen, whole, "{query:?}");
        }
    }
    let whole = Page { limit: 1_000, ..Page::default() };
    let ann = address(AddressType::Internal, "ann");
    let whole = store.primary().list_open_invitations(&reach(), std::slice::from_ref(&ann), &whole).await.unwrap();
    let (seen, _) = follow(async |after| {
        let page = Page { scan: Some(SCAN), limit: PAGE, after, ..Page::default() };
        store.primary().list_open_invitations(&reach(), std::slice::from_ref(&ann), &page).await.unwrap()
    })
    .await;
    assert_eq!(seen, whole.iter().map(|row| row.found.id).collect::<Vec<_>>());
}

async fn page_without_rows_says_where_the_list_goes_on(database: TestDatabase) {
    let store = filled(&database).await;
    let (seen, pages) = follow(async |after| {
        let creator = Some("nobody".to_owned());
        let query = InvitationQuery { creator, scan: Some(SCAN), limit: PAGE, after, ..InvitationQuery::default() };
        store.primary().list_invitations(&reach(), &query).await.unwrap()
    })
    .await;
    assert_eq!((seen.len(), pages), (0, 9), "40 rows, 5 at a time, and an empty rest");
}
