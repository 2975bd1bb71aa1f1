//! Replicas whose machines disagree about the time by ten minutes, beside each other on one PostgreSQL.

use invitation_service::clock::Clock;
use invitation_service::pb;
use prost_types::Timestamp;

use crate::support::build::messages::Expiring;
use crate::support::build::messages::{accept, preview, seconds};
use crate::support::build::{generals, messages};
use crate::support::database::TestDatabase;
use crate::support::service::{Service, configuration};

const FIVE_MINUTES: i64 = 300_000_000;
/// The distance of a moment from the truth in seconds: the time of a call on a busy machine.
const CLOSE: i64 = 20;

/// Fails unless a moment is as many seconds from now as it should be.
#[track_caller]
fn near(what: &str, moment: Option<Timestamp>, from_now: i64) {
    let now = Clock::system().now().micros() / 1_000_000;
    let apart = moment.unwrap_or_else(|| panic!("{what} is missing")).seconds - now - from_now;
    assert!(apart.abs() <= CLOSE, "{what} is {apart} s from what it should be");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2, crate = "crate::support::limit")]
async fn skewed_replicas_give_the_same_answers() {
    let Some(database) = TestDatabase::postgres().await else { return };
    let more = [("INVITATION__WEBHOOKS__ENABLED", "true"), ("INVITATION__WEBHOOKS__ROTATION_OVERLAP", "1h")];
    let mut replicas = Vec::new();
    for skew in [-FIVE_MINUTES, FIVE_MINUTES] {
        replicas.push(Service::start_with(configuration(&database, &more), Clock::skewed(skew)).await);
    }
    for (ours, theirs) in [(&replicas[0], &replicas[1]), (&replicas[1], &replicas[0])] {
        lifecycle(ours, theirs).await;
        endpoints(ours, theirs).await;
        organizations(ours).await;
    }
    for replica in replicas {
        replica.stop().await;
    }
}

/// An invitation that lives for less than the replicas are apart is created, read, accepted and told of.
async fn lifecycle(ours: &Service, theirs: &Service) {
    let invitation = pb::ConnectionInvitation {
        expiration: seconds(120).map(pb::connection_invitation::Expiration::Ttl),
        ..messages::invitation()
    };
    let made = messages::create(ours, invitation).await;
    near("create_time", made.create_time, 0);
    near("expire_time", made.expire_time(), 120);
    for replica in [ours, theirs] {
        let get = pb::GetConnectionInvitationRequest { name: made.name.clone() };
        let found = replica.connections().get_connection_invitation(get).await.unwrap().into_inner();
        assert_eq!(found, made, "as it was answered to its creator");
        let shown = replica.redemptions().preview_invitation(preview(&made.invitation_token)).await.unwrap();
        assert_eq!(shown.into_inner().state(), pb::InvitationState::Active);
    }
    let accepted = theirs.redemptions().accept_invitation(accept(&made.invitation_token, "ann")).await.unwrap();
    near("accept_time", accepted.into_inner().acceptance.unwrap().accept_time, 0);
    let list =
        pb::ListEventsRequest { parent: made.name.clone(), order_by: "sequence".to_owned(), ..Default::default() };
    let events = ours.events().list_events(list).await.unwrap().into_inner().events;
    assert_eq!(events.len(), 2);
    events.iter().for_each(|event| near(&event.r#type, event.time, 0));
    let general = generals::create(ours, generals::into_team(&[generals::internal(&made.uid)])).await;
    near("create_time of a general invitation", general.create_time, 0);
}

async fn endpoints(ours: &Service, theirs: &Service) {
    let endpoint = pb::WebhookEndpoint { uri: "https://example.org/hook".to_owned(), ..Default::default() };
    let create = pb::CreateWebhookEndpointRequest { webhook_endpoint: Some(endpoint), ..Default::default() };
    let made = ours.webhooks().create_webhook_endpoint(create).await.unwrap().into_inner();
    near("create_time of an endpoint", made.create_time, 0);
    let rotate = pb::RotateWebhookSecretRequest { name: made.name.clone(), ..Default::default() };
    let rotated = theirs.webhooks().rotate_webhook_secret(rotate).await.unwrap().into_inner();
    near("update_time of an endpoint", rotated.update_time, 0);
    near("previous_secret_expire_time", rotated.previous_secret_expire_time, 3_600);
    let delete = pb::DeleteWebhookEndpointRequest { name: made.name, ..Default::default() };
    ours.webhooks().delete_webhook_endpoint(delete).await.unwrap();
}

async fn organizations(ours: &Service) {
    let grant = pb::OrganizationGrant {
        requester_organization_id: uuid::Uuid::from_u128(u128::from(ours.address.port())).to_string(),
        target_organization_id: uuid::Uuid::from_u128(7).to_string(),
        permissions: vec!["guest_invitations.read".to_owned()],
        ..Default::default()
    };
    let create = pb::CreateOrganizationGrantRequest { organization_grant: Some(grant), ..Default::default() };
    let made = ours.access().create_organization_grant(create).await.unwrap().into_inner();
    near("create_time of an organization grant", made.create_time, 0);
}
