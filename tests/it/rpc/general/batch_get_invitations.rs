//! BatchGetInvitations: several at once in the order of their names, or none; and GetAcceptance.

use invitation_service::pb;
use tonic::{Code, Status};
use tonic_types::StatusExt;

use crate::rpc::redemption::keys;
use crate::support::build::guests::{HOST, OTHER_HOST};
use crate::support::build::users::user;
use crate::support::build::{generals, guests, messages, users};
use crate::support::database::TestDatabase;
use crate::support::expect::{refused, violated};
use crate::support::on_both;
use crate::support::service::Service;

on_both!(
    migrated:
    invitations_are_got_in_the_order_of_their_names,
    missing_name_fails_the_whole_call,
    bound_key_gets_invitations_and_acceptances_of_its_hosts,
    acceptance_is_got_as_it_is_listed,
);

fn batch(names: &[&str]) -> pb::BatchGetInvitationsRequest {
    pb::BatchGetInvitationsRequest { names: names.iter().map(|name| (*name).to_owned()).collect() }
}

async fn get(service: &Service, names: &[&str]) -> Result<Vec<pb::Invitation>, Status> {
    let answer = service.invitations().batch_get_invitations(batch(names)).await?;
    Ok(answer.into_inner().invitations)
}

async fn invitations_are_got_in_the_order_of_their_names(database: TestDatabase) {
    let service = Service::start(&database).await;
    let general = generals::create(&service, generals::into_team(&[generals::email("ann@example.org")])).await;
    let user = users::create(&service, user("bob@example.org")).await;
    let company = messages::create(&service, messages::invitation()).await;
    let any = format!("invitations/{}", user.uid);
    let found = get(&service, &[&company.name, &user.name, &general.name, &any]).await.unwrap();
    let uids: Vec<&str> = found.iter().map(|found| found.uid.as_str()).collect();
    assert_eq!(uids, [company.uid.as_str(), &user.uid, &general.uid, &user.uid], "the same one twice is there twice");
    assert_eq!(found[2], messages::get_general(&service, &general.name).await);
    service.stop().await;
}

async fn missing_name_fails_the_whole_call(database: TestDatabase) {
    let service = Service::start(&database).await;
    let user = users::create(&service, user("bob@example.org")).await;
    let (nobody, wrong) =
        ("invitations/01920000-0000-7000-8000-000000000000", format!("guestInvitations/{}", user.uid));
    for missing in [nobody, wrong.as_str()] {
        let status = refused(get(&service, &[&user.name, missing]).await, Code::NotFound, "INVITATION_NOT_FOUND");
        assert_eq!(status.get_error_details().error_info().unwrap().metadata["name"], missing);
    }
    let many = vec![user.name.as_str(); 101];
    for (names, fields) in
        [(vec![], vec!["names"]), (many, vec!["names"]), (vec!["x", &user.name, ""], vec!["names[0]", "names[2]"])]
    {
        assert_eq!(violated(&refused(get(&service, &names).await, Code::InvalidArgument, "INVALID_FIELD")), fields);
    }
    assert_eq!(get(&service, &[user.name.as_str(); 100]).await.unwrap().len(), 100);
    service.stop().await;
}

async fn bound_key_gets_invitations_and_acceptances_of_its_hosts(database: TestDatabase) {
    let credentials = [("ours", "*", Some(HOST)), ("ours", "*", Some(OTHER_HOST))];
    let (service, key) = keys::start_bound(&database, &credentials).await;
    let mut create = keys::with(&key[0], guests::creation(guests::guest("ann@example.org")));
    guests::add(&mut create, HOST, HOST);
    let made = service.guests().create_guest_invitation(create).await.unwrap().into_inner();
    let accept = messages::accept_as(&made.invitation_token, "ann", "ann@example.org", true);
    let accepted = service.redemptions().accept_invitation(keys::with(&key[0], accept)).await.unwrap().into_inner();
    let name = accepted.acceptance.unwrap().name;
    let mut invitations = service.invitations();
    let own = invitations.batch_get_invitations(keys::with(&key[0], batch(&[&made.name]))).await.unwrap();
    assert_eq!(own.into_inner().invitations.len(), 1);
    let foreign = invitations.batch_get_invitations(keys::with(&key[1], batch(&[&made.name]))).await;
    refused(foreign, Code::NotFound, "INVITATION_NOT_FOUND");
    let get = |key: &str| keys::with(key, pb::GetAcceptanceRequest { name: name.clone() });
    assert_eq!(invitations.get_acceptance(get(&key[0])).await.unwrap().into_inner().name, name);
    refused(invitations.get_acceptance(get(&key[1])).await, Code::NotFound, "ACCEPTANCE_NOT_FOUND");
    service.stop().await;
}

async fn acceptance_is_got_as_it_is_listed(database: TestDatabase) {
    let service = Service::start(&database).await;
    let made = messages::create(&service, messages::invitation()).await;
    let other = messages::create(&service, messages::invitation()).await;
    let accepted = service.redemptions().accept_invitation(messages::accept(&made.invitation_token, "ann")).await;
    let accepted = accepted.unwrap().into_inner().acceptance.unwrap();
    let get = async |name: &str| {
        let request = pb::GetAcceptanceRequest { name: name.to_owned() };
        service.invitations().get_acceptance(request).await.map(tonic::Response::into_inner)
    };
    let got = get(&accepted.name).await.unwrap();
    assert_eq!(pb::Acceptance { etag: String::new(), ..got }, accepted);
    let elsewhere = accepted.name.replace(&made.uid, &other.uid);
    refused(get(&elsewhere).await, Code::NotFound, "ACCEPTANCE_NOT_FOUND");
    for name in ["", "x", made.name.as_str()] {
        assert_eq!(violated(&refused(get(name).await, Code::InvalidArgument, "INVALID_FIELD")), ["name"]);
    }
    service.stop().await;
}
