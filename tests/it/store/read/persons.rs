//! The reach of a person: what it lets reads see, and that it lets them see nothing beside it.

use std::collections::BTreeSet;
use std::sync::Arc;

use invitation_service::domain::invitation::acceptance::Subject;
use invitation_service::domain::invitation::recipient::AddressType;
use invitation_service::domain::kind::Scope;
use invitation_service::domain::reach::Reach;
use invitation_service::domain::reach::person::{Person, Relation};
use invitation_service::domain::value::id::InvitationId;
use invitation_service::domain::value::time::Timestamp;
use invitation_service::store::{AcceptanceQuery, Page, RecipientQuery, Store};

use super::build::*;
use crate::support::build::commands::*;
use crate::support::database::{NEW_YEAR, TestDatabase};
use crate::support::on_both;

on_both!(migrated: reach_of_a_person_narrows_every_read);

fn person(subject: &str, email: &str) -> Arc<Person> {
    Arc::new(Person { subject: Subject(subject.to_owned()), email: Person::parse_email(email) })
}

fn reach_of(person: &Arc<Person>, relation: Relation) -> Reach {
    Reach::of_person(account(), Arc::clone(person), relation)
}

async fn listed(store: &Store, reach: &Reach) -> BTreeSet<InvitationId> {
    let rows = store.primary().list_invitations(reach, &all()).await.unwrap();
    let counted = store.primary().count_invitations(reach, &all(), 1_000).await.unwrap().found;
    assert_eq!(counted, rows.iter().count() as u64);
    rows.iter().map(|row| row.found.id).collect()
}

async fn reach_of_a_person_narrows_every_read(database: TestDatabase) {
    let (store, _) = store(&database).await;
    let expire_at = Timestamp::from_micros(NEW_YEAR.micros() + 60_000_000);
    let (ann, subject) = (address(AddressType::Email, "Ann@Example.org"), address(AddressType::Internal, "ann"));
    let team = |id: u32| Scope::new("team", id);
    let mut own = BTreeSet::new();
    for create in [
        user("ann@example.org"),
        guest("ann@example.org", expire_at),
        general(&team(1), &[], std::slice::from_ref(&ann)),
        general(&team(2), &[], &[address(AddressType::Phone, "+4930123456"), subject]),
    ] {
        own.insert(created(&store, create).await.id);
    }
    own.insert(autojoined(&store, &team(3), "example.org").await);
    let mut others = BTreeSet::new();
    for create in [user("bob@example.org"), link(), general(&team(4), &[], &[address(AddressType::Internal, "an")])] {
        others.insert(created(&store, create).await.id);
    }
    others.insert(autojoined(&store, &team(5), "sub.example.org").await);
    foreign(&store, user("ann@example.org")).await;

    let ann = person("ann", "ANN@example.org");
    let recipient = reach_of(&ann, Relation::Recipient);
    assert_eq!(listed(&store, &recipient).await, own);
    // Whatever addresses are asked for.
    let strangers = [address(AddressType::Email, "bob@example.org"), address(AddressType::Internal, "an")];
    let page = Page { limit: 100, ..Page::default() };
    let open = store.primary().list_open_invitations(&recipient, &strangers, &page).await.unwrap();
    let autojoins = open.iter().filter(|row| own.contains(&row.found.id)).count();
    assert_eq!((open.iter().count(), autojoins), (1, 1), "the auto-join of the domain that they share");
    let open = store.primary().list_open_invitations(&recipient, &ann.addresses(), &page).await.unwrap();
    assert_eq!(open.iter().map(|row| row.found.id).collect::<BTreeSet<_>>(), own);
    assert_eq!(listed(&store, &reach_of(&person("ann", ""), Relation::Recipient)).await.len(), 1);
    assert!(listed(&store, &reach_of(&person("zed", ""), Relation::Recipient)).await.is_empty());

    let inviter = reach_of(&person("inviter-1", ""), Relation::Inviter);
    assert_eq!(listed(&store, &inviter).await.len(), 3, "the general ones to people");
    assert!(listed(&store, &reach_of(&ann, Relation::Inviter)).await.is_empty());
    let holder = reach_of(&ann, Relation::LinkHolder);
    assert!(listed(&store, &holder).await.is_empty(), "a link leads to one invitation");

    for (id, is_own) in own.iter().map(|id| (*id, true)).chain(others.iter().map(|id| (*id, false))) {
        let reads = store.primary();
        assert_eq!(reads.get_invitation(&recipient, id, true).await.unwrap().is_some(), is_own);
        let found = reads.get_invitations(&recipient, &BTreeSet::from([id])).await.unwrap().unwrap();
        assert_eq!(found.len(), usize::from(is_own));
        for reach in [&recipient, &inviter, &holder] {
            assert!(reads.list_recipients(reach, &RecipientQuery::of(id, 10)).await.unwrap().is_none());
            assert!(reads.list_acceptances(reach, &AcceptanceQuery::of(id, 10)).await.unwrap().is_none());
        }
    }
}
