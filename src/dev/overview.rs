//! The newest invitations, each with its recipients, its messages and its events in the order of time.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::Serialize;
use tonic::transport::Channel;
use tonic::{Request, Status};

use crate::domain::value::time::Timestamp;
use crate::pb;
use crate::pb::delivery_service_client::DeliveryServiceClient;
use crate::pb::event_service_client::EventServiceClient;
use crate::pb::invitation_service_client::InvitationServiceClient;

/// The invitations, messages and events that a page shows, the newest of each.
const SHOWN: i32 = 100;
/// The invitations of the account together.
const ALL: &str = "invitations/-";
const PATIENCE: Duration = Duration::from_secs(5);

/// The calls that the page is made of.
pub(super) struct Overview(Channel);

/// The page.
#[derive(Debug, Serialize)]
pub(super) struct View {
    invitations: Vec<Shown>,
}

/// An invitation as it is shown.
#[derive(Debug, Serialize)]
struct Shown {
    name: String,
    kind: String,
    state: String,
    scope: String,
    link: String,
    recipients: Vec<Recipient>,
    timeline: Vec<Step>,
}

#[derive(Debug, Serialize)]
struct Recipient {
    value: String,
    state: String,
}

/// Something that happened to an invitation.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
struct Step {
    time: String,
    text: String,
}

impl Overview {
    pub(super) fn new(channel: Channel) -> Self {
        Self(channel)
    }

    /// Reads everything that the page shows.
    pub(super) async fn read(&self) -> Result<View, Status> {
        let list = pb::ListInvitationsRequest {
            view: pb::InvitationView::Full.into(),
            page_size: SHOWN,
            ..pb::ListInvitationsRequest::default()
        };
        let (parent, page_size) = (ALL.to_owned(), SHOWN);
        let order_by = "time desc".to_owned();
        let events = pb::ListEventsRequest { parent, page_size, order_by, ..pb::ListEventsRequest::default() };
        let deliveries =
            pb::ListDeliveriesRequest { parent: ALL.to_owned(), page_size, ..pb::ListDeliveriesRequest::default() };
        let channel = || self.0.clone();
        let (mut of_invitations, mut of_events, mut of_deliveries) = (
            InvitationServiceClient::new(channel()),
            EventServiceClient::new(channel()),
            DeliveryServiceClient::new(channel()),
        );
        let (invitations, events, deliveries) = tokio::try_join!(
            of_invitations.list_invitations(soon(list)),
            of_events.list_events(soon(events)),
            of_deliveries.list_deliveries(soon(deliveries)),
        )?;
        let mut steps: BTreeMap<String, Vec<Step>> = BTreeMap::new();
        for event in events.into_inner().events {
            let text = [event.r#type, by(&event.actor)].concat();
            steps.entry(event.invitation).or_default().push(Step { time: moment(event.time), text });
        }
        for delivery in deliveries.into_inner().deliveries {
            let invitation = delivery.name.split("/deliveries/").next().unwrap_or_default().to_owned();
            steps.entry(invitation).or_default().push(sent(&delivery));
        }
        let invitations = invitations.into_inner().invitations.into_iter();
        Ok(View { invitations: invitations.map(|invitation| shown(invitation, &mut steps)).collect() })
    }
}

fn soon<T>(message: T) -> Request<T> {
    let mut request = Request::new(message);
    request.set_timeout(PATIENCE);
    request
}

fn shown(invitation: pb::Invitation, steps: &mut BTreeMap<String, Vec<Step>>) -> Shown {
    let mut timeline = steps.remove(&invitation.name).unwrap_or_default();
    timeline.sort();
    let recipients = invitation.targets.iter().map(|target| Recipient {
        value: target.value.clone(),
        state: word(target.r#type().as_str_name(), "TARGET_TYPE_"),
    });
    let scope = invitation.scope.clone().unwrap_or_default();
    Shown {
        kind: word(invitation.kind().as_str_name(), "INVITATION_KIND_"),
        state: word(invitation.state().as_str_name(), "INVITATION_STATE_"),
        scope: if scope.display_name.is_empty() { [scope.r#type, scope.id].join("/") } else { scope.display_name },
        recipients: recipients.collect(),
        link: invitation.invitation_uri,
        name: invitation.name,
        timeline,
    }
}

/// Returns a message to a person as a step.
fn sent(delivery: &pb::Delivery) -> Step {
    let purpose = word(delivery.purpose().as_str_name(), "DELIVERY_PURPOSE_");
    let state = word(delivery.state().as_str_name(), "DELIVERY_STATE_");
    let text = format!("mail {purpose}: {state} {}", delivery.address);
    Step { time: moment(delivery.send_time.or(delivery.create_time)), text }
}

fn by(actor: &str) -> String {
    if actor.is_empty() { String::new() } else { format!(" by {actor}") }
}

/// Returns the value of an enum as a word.
fn word(name: &str, prefix: &str) -> String {
    name.strip_prefix(prefix).unwrap_or(name).to_lowercase().replace('_', " ")
}

fn moment(time: Option<prost_types::Timestamp>) -> String {
    let micros = time.map(|time| time.seconds * 1_000_000 + i64::from(time.nanos) / 1_000);
    micros.map_or_else(String::new, |micros| Timestamp::from_micros(micros).to_string())
}
