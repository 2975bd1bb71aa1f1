//! ListAcceptances: everybody who has used an invitation, page by page.

use invitation_service::pb;
use invitation_service::pb::ListAcceptancesRequest as Request;
use std::time::Duration;
use tonic::Code;

use crate::support::build::{generals, messages};
use crate::support::database::TestDatabase;
use crate::support::expect::{refused, violated};
use crate::support::on_both;
use crate::support::service::Service;

on_both!(
    migrated:
    pages_follow_each_other_both_ways_and_ties_lose_nobody,
    subject_and_state_narrow_the_list,
    only_acceptances_of_an_invitation_that_is_there_are_listed
);

/// An acceptance as the accept has shown it.
fn without_etag(acceptance: pb::Acceptance) -> pb::Acceptance {
    pb::Acceptance { etag: String::new(), ..acceptance }
}

async fn pages_follow_each_other_both_ways_and_ties_lose_nobody(database: TestDatabase) {
    let service = Service::start(&database).await;
    let made = messages::create(&service, messages::invitation()).await;
    let mut oldest_first = Vec::new();
    for person in 0..110 {
        // Several at one moment.
        if person % 4 == 0 {
            service.clock.advance(Duration::from_secs(1));
        }
        let accept = messages::accept(&made.invitation_token, &format!("person-{person}"));
        let accepted = service.redemptions().accept_invitation(accept).await.unwrap().into_inner();
        oldest_first.push(accepted.acceptance.unwrap());
    }
    let times = |accepted: &[pb::Acceptance]| -> Vec<_> {
        accepted.iter().map(|accepted| accepted.accept_time.map(|time| time.seconds)).collect()
    };
    for parent in [&made.name, &made.name.replace("connectionI", "i")] {
        for (order_by, reverse) in [("accept_time", false), ("accept_time desc", true), ("", true)] {
            let mut request =
                Request { parent: parent.clone(), page_size: 7, order_by: order_by.to_owned(), ..Default::default() };
            let mut seen = Vec::new();
            loop {
                let page = service.invitations().list_acceptances(request.clone()).await.unwrap().into_inner();
                seen.extend(page.acceptances.into_iter().map(without_etag));
                request.page_token = page.next_page_token;
                request.page_size += 1;
                if request.page_token.is_empty() {
                    break;
                }
            }
            if reverse {
                seen.reverse();
            }
            assert_eq!(times(&seen), times(&oldest_first), "{order_by}");
            let by_name = |mut accepted: Vec<pb::Acceptance>| {
                accepted.sort_by(|one, other| one.name.cmp(&other.name));
                accepted
            };
            assert_eq!(by_name(seen), by_name(oldest_first.clone()), "everybody once, as the accept told");
        }
    }
    let read = messages::get_general(&service, &made.name).await;
    assert_eq!((read.use_count, read.acceptances.len()), (110, 100), "embedded are the newest 100 only");
    service.stop().await;
}

async fn subject_and_state_narrow_the_list(database: TestDatabase) {
    let service = Service::start(&database).await;
    let made = messages::create(&service, messages::invitation()).await;
    let mut accepted = Vec::new();
    for subject in ["ann", "Ann", "bob"] {
        let accept = messages::accept(&made.invitation_token, subject);
        accepted.extend(service.redemptions().accept_invitation(accept).await.unwrap().into_inner().acceptance);
    }
    let other = messages::create(&service, messages::invitation()).await;
    service.redemptions().accept_invitation(messages::accept(&other.invitation_token, "eve")).await.unwrap();

    let active = pb::AcceptanceState::Active as i32;
    let list = |subject: &str, states: &[i32]| Request {
        parent: made.name.clone(),
        subject: subject.to_owned(),
        states: states.to_vec(),
        ..Default::default()
    };
    for (subject, states, wanted) in [
        ("ann", vec![], &accepted[..1]),
        ("Ann", vec![active], &accepted[1..2]),
        ("eve", vec![], &[]),
        ("an", vec![active], &[]),
    ] {
        let found = service.invitations().list_acceptances(list(subject, &states)).await.unwrap().into_inner();
        assert!(found.acceptances.iter().all(|found| !found.etag.is_empty()));
        assert_eq!(found.acceptances.into_iter().map(without_etag).collect::<Vec<_>>(), wanted, "{subject}");
        assert!(found.next_page_token.is_empty());
    }
    let all = service.invitations().list_acceptances(list("", &[active])).await.unwrap().into_inner();
    assert_eq!(all.acceptances.len(), 3);

    let wrong = list(&"a".repeat(201), &[active, 0, 99]);
    let status = refused(service.invitations().list_acceptances(wrong).await, Code::InvalidArgument, "INVALID_FIELD");
    assert_eq!(violated(&status), ["subject", "states[1]", "states[2]"]);
    let first = Request { page_size: 1, ..list("", &[]) };
    let page_token = service.invitations().list_acceptances(first).await.unwrap().into_inner().next_page_token;
    let mixed = Request { page_token, ..list("ann", &[]) };
    let status = refused(service.invitations().list_acceptances(mixed).await, Code::InvalidArgument, "INVALID_FIELD");
    assert_eq!(violated(&status), ["page_token"]);
    service.stop().await;
}

async fn only_acceptances_of_an_invitation_that_is_there_are_listed(database: TestDatabase) {
    let service = Service::start(&database).await;
    let made = generals::create(&service, generals::into_team(&[])).await;
    let list = |parent: &str| Request { parent: parent.to_owned(), ..Default::default() };
    let none = service.invitations().list_acceptances(list(&made.name)).await.unwrap().into_inner();
    assert_eq!(none, pb::ListAcceptancesResponse::default());
    for missing in [made.name.replace("invitations", "userInvitations"), format!("invitations/{}", messages::COMPANY)] {
        let missing = service.invitations().list_acceptances(list(&missing)).await;
        refused(missing, Code::NotFound, "INVITATION_NOT_FOUND");
    }
    let bad = Request { order_by: "name".to_owned(), page_size: -1, page_token: "x".to_owned(), ..list("x") };
    let status = refused(service.invitations().list_acceptances(bad).await, Code::InvalidArgument, "INVALID_FIELD");
    assert_eq!(violated(&status), ["page_size", "order_by", "page_token", "parent"]);
    service.stop().await;
}
