//! GetEvent: one event by its name.

use invitation_service::pb;
use tonic::Code;

use crate::support::build::messages;
use crate::support::database::TestDatabase;
use crate::support::expect::{refused, violated};
use crate::support::on_both;
use crate::support::service::Service;

on_both!(migrated: event_is_found_by_its_name_alone);

async fn event_is_found_by_its_name_alone(database: TestDatabase) {
    let service = Service::start(&database).await;
    let made = messages::create(&service, messages::invitation()).await;
    messages::revoke(&service, &made.name).await.unwrap();
    let get = |name: &str| {
        let (mut events, request) = (service.events(), pb::GetEventRequest { name: name.to_owned() });
        async move { events.get_event(request).await.map(tonic::Response::into_inner) }
    };
    let stripped = |event: &pb::Event| pb::Event { resume_token: String::new(), ..event.clone() };
    for event in messages::events(&service, &made.name).await {
        assert_eq!(stripped(&get(&event.name).await.unwrap()), stripped(&event));
    }
    let of = |rest: &str| format!("invitations/{}/events/{rest}", made.uid);
    refused(get(&of("3")).await, Code::NotFound, "EVENT_NOT_FOUND");
    let foreign = format!("invitations/{}/events/1", messages::COMPANY);
    refused(get(&foreign).await, Code::NotFound, "INVITATION_NOT_FOUND");
    for name in [of("0"), of("-1"), of("01"), of("+1"), of("x"), of(""), of("1/2"), made.name.clone(), String::new()] {
        let status = refused(get(&name).await, Code::InvalidArgument, "INVALID_FIELD");
        assert_eq!(violated(&status), ["name"], "{name}");
    }
    service.stop().await;
}
