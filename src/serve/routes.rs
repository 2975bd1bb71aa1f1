//! The list of the services.

use std::sync::Arc;

use tonic::service::Routes;

use super::ServeError;
use crate::api::execute::Api;
use crate::api::{
    Access, ConnectionInvitations, Deliveries, Events, GuestInvitations, Invitations, Redemptions, UserInvitations,
    Watches, Webhooks,
};
use crate::pb;
use crate::server::boundary::MAX_MESSAGE;

/// Puts the services together, with reflection in both versions: older clients know only the first.
pub(super) fn routes(api: Arc<Api>, watches: Watches) -> Result<Routes, ServeError> {
    use pb::access_service_server::AccessServiceServer as AccessServer;
    use pb::connection_invitation_service_server::ConnectionInvitationServiceServer as ConnectionServer;
    use pb::delivery_service_server::DeliveryServiceServer as DeliveryServer;
    use pb::event_service_server::EventServiceServer as EventServer;
    use pb::guest_invitation_service_server::GuestInvitationServiceServer as GuestServer;
    use pb::invitation_service_server::InvitationServiceServer as InvitationServer;
    use pb::redemption_service_server::RedemptionServiceServer as RedemptionServer;
    use pb::user_invitation_service_server::UserInvitationServiceServer as UserServer;
    use pb::webhook_service_server::WebhookServiceServer as WebhookServer;
    let reflection = || {
        tonic_reflection::server::Builder::configure()
            .register_encoded_file_descriptor_set(pb::DESCRIPTORS)
            .register_encoded_file_descriptor_set(tonic_health::pb::FILE_DESCRIPTOR_SET)
            // So that grpcurl can show the details of errors.
            .register_encoded_file_descriptor_set(tonic_types::pb::FILE_DESCRIPTOR_SET)
    };
    let connections = ConnectionServer::new(ConnectionInvitations(Arc::clone(&api)));
    let redemptions = RedemptionServer::new(Redemptions(Arc::clone(&api)));
    let invitations = InvitationServer::new(Invitations(Arc::clone(&api)));
    let users = UserServer::new(UserInvitations(Arc::clone(&api)));
    let guests = GuestServer::new(GuestInvitations(Arc::clone(&api)));
    let access = AccessServer::new(Access(Arc::clone(&api)));
    let deliveries = DeliveryServer::new(Deliveries(Arc::clone(&api)));
    let webhooks = WebhookServer::new(Webhooks(Arc::clone(&api)));
    let events = EventServer::new(Events(api, watches));
    Ok(Routes::new(connections.max_decoding_message_size(MAX_MESSAGE))
        .add_service(users.max_decoding_message_size(MAX_MESSAGE))
        .add_service(access.max_decoding_message_size(MAX_MESSAGE))
        .add_service(guests.max_decoding_message_size(MAX_MESSAGE))
        .add_service(redemptions.max_decoding_message_size(MAX_MESSAGE))
        .add_service(invitations.max_decoding_message_size(MAX_MESSAGE))
        .add_service(deliveries.max_decoding_message_size(MAX_MESSAGE))
        .add_service(webhooks.max_decoding_message_size(MAX_MESSAGE))
        .add_service(events.max_decoding_message_size(MAX_MESSAGE))
        .add_service(reflection().build_v1()?)
        .add_service(reflection().build_v1alpha()?))
}
