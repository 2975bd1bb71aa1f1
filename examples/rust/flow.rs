//! Creates an invitation, looks at its link, accepts it and watches the event: flow URL

use std::error::Error;

use invitation_service::pb;
use invitation_service::pb::event_service_client::EventServiceClient;
use invitation_service::pb::invitation_service_client::InvitationServiceClient;
use invitation_service::pb::redemption_service_client::RedemptionServiceClient;
use invitation_service::pb::watch_events_request::Start;
use invitation_service::pb::watch_events_response::Item;
use tonic::transport::Endpoint;

#[tokio::main]
#[expect(clippy::print_stdout, reason = "it shows what it does")]
async fn main() -> Result<(), Box<dyn Error>> {
    let url = std::env::args().nth(1).ok_or("usage: flow URL")?;
    let channel = Endpoint::from_shared(url)?.connect().await?;
    let mut invitations = InvitationServiceClient::new(channel.clone());
    let mut redemptions = RedemptionServiceClient::new(channel.clone());
    let mut events = EventServiceClient::new(channel);

    let ann = pb::Target {
        r#type: pb::TargetType::Email.into(),
        value: "ann@example.org".to_owned(),
        ..pb::Target::default()
    };
    let scope = pb::Scope { r#type: "team".to_owned(), id: "7".to_owned(), display_name: "Team Seven".to_owned() };
    let wanted = pb::Invitation {
        scope: Some(scope),
        roles: vec!["editor".to_owned()],
        targets: vec![ann],
        ..pb::Invitation::default()
    };
    let request = pb::CreateInvitationRequest {
        invitation: Some(wanted),
        send_email: Some(false),
        ..pb::CreateInvitationRequest::default()
    };
    let invitation = invitations.create_invitation(request).await?.into_inner();
    println!("created {}", invitation.name);

    let token = invitation.invitation_token;
    let request = pb::PreviewInvitationRequest { token: token.clone() };
    let preview = redemptions.preview_invitation(request).await?.into_inner();
    println!("preview {} {}", preview.state().as_str_name(), preview.scope.unwrap_or_default().display_name);

    let acceptor = pb::Acceptor {
        subject: "user-ann".to_owned(),
        email: "ann@example.org".to_owned(),
        email_verified: true,
        ..pb::Acceptor::default()
    };
    let request =
        pb::AcceptInvitationRequest { token, acceptor: Some(acceptor), ..pb::AcceptInvitationRequest::default() };
    let accepted = redemptions.accept_invitation(request).await?.into_inner().acceptance.unwrap_or_default();
    println!("accepted {} {}", accepted.name, accepted.roles.join(" "));

    let request = pb::WatchEventsRequest {
        start: Some(Start::FromBeginning(true)),
        types: vec!["invitation.accepted".to_owned()],
        ..pb::WatchEventsRequest::default()
    };
    let mut stream = events.watch_events(request).await?.into_inner();
    while let Some(response) = stream.message().await? {
        let Some(Item::Event(event)) = response.item else { continue };
        if event.invitation == invitation.name {
            println!("watched {} {}", event.r#type, event.invitation);
            break;
        }
    }
    Ok(())
}
