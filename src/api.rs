//! The tonic services: parse, run, convert; and the list of them. Nothing is decided here.
//!
//! [`boundary`](crate::server::boundary) is what all RPCs have in common before and after.

pub(crate) mod access;
pub(crate) mod connection;
mod convert;
pub(crate) mod deliveries;
pub(crate) mod events;
pub mod execute;
pub(crate) mod general;
pub(crate) mod guest;
mod parse;
pub(crate) mod privacy;
pub(crate) mod redemption;
pub mod requests;
pub(crate) mod resource;
pub(crate) mod scopes;
pub(crate) mod suppressions;
pub(crate) mod user;
pub(crate) mod webhooks;

use std::sync::Arc;

use tonic::codec::CompressionEncoding;
use tonic::service::Routes;

use crate::domain::kind::Details;
use crate::pb;
use crate::server::open_services::reflection::Reflection;
use crate::server::request_body::MAX_MESSAGE;
use access::Access;
use connection::ConnectionInvitations;
use deliveries::Deliveries;
use events::Events;
use execute::Api;
use general::Invitations;
use guest::GuestInvitations;
use privacy::Privacy;
use redemption::Redemptions;
use resource::KindFields;
use scopes::Scopes;
use suppressions::Suppressions;
use user::UserInvitations;
use webhooks::Webhooks;

pub(crate) use events::convert::event as event_message;
pub use events::watch::Watches;

/// Returns the fields that the kind of an invitation adds to the messages of all kinds.
fn kind_fields(details: &Details) -> &dyn KindFields {
    match details {
        Details::Connection(details) => details,
        Details::User(details) => details,
        Details::Guest(details) => details,
        Details::General(details) => details.as_ref(),
    }
}

/// Puts the services together, with reflection, which they are described by.
pub(crate) fn routes(api: Arc<Api>, watches: Watches) -> Result<Routes, prost::DecodeError> {
    use CompressionEncoding::Gzip;
    use pb::access_service_server::AccessServiceServer as AccessServer;
    use pb::connection_invitation_service_server::ConnectionInvitationServiceServer as ConnectionServer;
    use pb::delivery_service_server::DeliveryServiceServer as DeliveryServer;
    use pb::event_service_server::EventServiceServer as EventServer;
    use pb::guest_invitation_service_server::GuestInvitationServiceServer as GuestServer;
    use pb::invitation_service_server::InvitationServiceServer as InvitationServer;
    use pb::privacy_service_server::PrivacyServiceServer as PrivacyServer;
    use pb::redemption_service_server::RedemptionServiceServer as RedemptionServer;
    use pb::scope_service_server::ScopeServiceServer as ScopeServer;
    use pb::suppression_service_server::SuppressionServiceServer as SuppressionServer;
    use pb::user_invitation_service_server::UserInvitationServiceServer as UserServer;
    use pb::webhook_service_server::WebhookServiceServer as WebhookServer;
    use tonic_reflection::pb::{v1, v1alpha};
    let reflection = Reflection::new(&pb::DESCRIPTOR_SETS)?;
    // The boundary decides for which calls the answer is compressed.
    macro_rules! limited {
        ($service:expr) => {
            $service.max_decoding_message_size(MAX_MESSAGE).accept_compressed(Gzip).send_compressed(Gzip)
        };
    }
    let connections = ConnectionServer::new(ConnectionInvitations(Arc::clone(&api)));
    let redemptions = RedemptionServer::new(Redemptions(Arc::clone(&api)));
    let invitations = InvitationServer::new(Invitations(Arc::clone(&api)));
    let users = UserServer::new(UserInvitations(Arc::clone(&api)));
    let guests = GuestServer::new(GuestInvitations(Arc::clone(&api)));
    let access = AccessServer::new(Access(Arc::clone(&api)));
    let scopes = ScopeServer::new(Scopes(Arc::clone(&api)));
    let deliveries = DeliveryServer::new(Deliveries(Arc::clone(&api)));
    let privacy = PrivacyServer::new(Privacy(Arc::clone(&api)));
    let suppressions = SuppressionServer::new(Suppressions(Arc::clone(&api)));
    let webhooks = WebhookServer::new(Webhooks(Arc::clone(&api)));
    let events = EventServer::new(Events(api, watches));
    Ok(Routes::new(limited!(connections))
        .add_service(limited!(users))
        .add_service(limited!(access))
        .add_service(limited!(guests))
        .add_service(limited!(redemptions))
        .add_service(limited!(invitations))
        .add_service(limited!(scopes))
        .add_service(limited!(deliveries))
        .add_service(limited!(privacy))
        .add_service(limited!(suppressions))
        .add_service(limited!(webhooks))
        .add_service(limited!(events))
        .add_service(v1::server_reflection_server::ServerReflectionServer::new(reflection.clone()))
        .add_service(v1alpha::server_reflection_server::ServerReflectionServer::new(reflection)))
}
