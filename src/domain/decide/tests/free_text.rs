//! The free text of callers, as events show it.

use uuid::Uuid;

use super::run_on;
use crate::domain::command::{Access, Action, DeclineInvitation, RecordEngagement, ReportDelivery};
use crate::domain::delivery::{Delivery, DeliveryReport, DeliveryState, NewDelivery, Purpose};
use crate::domain::fixtures::{NOW, account, command, invitation, loaded};
use crate::domain::invitation::EngagementType;

#[test]
fn event_holds_no_address_link_or_token_from_callers_text() {
    let invitation = invitation(1, None);
    let delivery = Uuid::from_u128(9);
    let message = NewDelivery {
        id: delivery,
        invitation: invitation.id,
        purpose: Purpose::Invitation,
        recipient: 1,
        address: None,
        about: None,
        moment: None,
        created_at: NOW,
        due_at: NOW,
    };
    let (state, sent_at) = (DeliveryState::Sent, Some(NOW));
    let sent = Delivery { message, state, lease: None, attempts: 1, last_error: None, sent_at, due_at: None };
    let mut loaded = loaded(&invitation, &[]);
    loaded.put_delivery(&account("acme"), sent);
    let written = Some("ask <ann@example.org>, not https://example.org/i/inv_AbC nor inv_AbC".to_owned());
    let link = invitation.claims(1);
    let report = DeliveryReport::Bounced;
    for (key, action) in [
        ("reason", {
            let access = Access::Link(link);
            Action::Decline(DeclineInvitation { access, addresses: Vec::new(), reason: written.clone() })
        }),
        ("source", {
            let engagement = EngagementType::Click;
            Action::RecordEngagement(RecordEngagement { link, engagement, source: written.clone() })
        }),
        ("detail", Action::ReportDelivery(ReportDelivery { delivery, report, detail: written.clone() })),
    ] {
        let changes = run_on(&loaded, &command(1, action)).unwrap().changes;
        let payload = changes.events[0].payload.json();
        let told = payload.get(key).and_then(|told| told.as_str());
        assert_eq!(told, Some("ask <[removed]>, not [removed] nor [removed]"), "{key}");
    }
}
