//! Invitations, deliveries and mail that the tests begin with.

use std::collections::BTreeMap;

use invitation_service::config::{Config, MailConfig};
use invitation_service::domain::delivery::repeats::Repeats;
use invitation_service::domain::delivery::{Delivery, DeliveryState, NewDelivery, Purpose};
use invitation_service::domain::invitation::recipient::{Address, NewRecipient, Recipient};
use invitation_service::domain::invitation::state::Facts;
use invitation_service::domain::invitation::unknown_fields::UnknownFields;
use invitation_service::domain::invitation::{Engagement, Invitation};
use invitation_service::domain::kind::connection::{ConnectionDetails, ConnectionPurpose};
use invitation_service::domain::kind::general::{CallerData, GeneralDetails, RecipientMatch, Usage};
use invitation_service::domain::kind::guest::GuestDetails;
use invitation_service::domain::kind::shared::{Inviter, SharedDetails};
use invitation_service::domain::kind::user::UserDetails;
use invitation_service::domain::kind::{Details, Scope};
use invitation_service::domain::secret::key_ring::KeyRing;
use invitation_service::domain::value::email::Email;
use invitation_service::domain::value::id::InvitationId;
use invitation_service::domain::value::text::AccountId;
use invitation_service::domain::value::time::{Timestamp, Ttl};
use invitation_service::mail::compose::{About, Composer};
use invitation_service::mail::message::Mail;
use uuid::Uuid;

use crate::support::database::NEW_YEAR;

/// The delivery of every message.
pub(crate) const DELIVERY: Uuid = Uuid::from_u128(0x0192_0000_0000_7000_8000_0000_0000_de11);

/// A configuration with these keys of `[mail]`.
pub(crate) fn config(settings: &[(&str, &str)]) -> Config {
    let names = settings.iter().map(|(key, value)| (format!("INVITATION__MAIL__{}", key.to_uppercase()), *value));
    let from = ("INVITATION__MAIL__FROM".to_owned(), "Example <no-reply@example.com>");
    let links = ["CONNECTION", "USER", "GUEST", "GENERAL"]
        .map(|kind| (format!("INVITATION__LINKS__{kind}"), "https://app.example.com/i/{token}?from=mail&v=2"));
    let lease = ("INVITATION__DELIVERY__LEASE".to_owned(), "10m");
    Config::load(None, [from, lease].into_iter().chain(links).chain(names), [])
        .unwrap_or_else(|error| panic!("{error}"))
}

pub(crate) fn mail_config(settings: &[(&str, &str)]) -> MailConfig {
    config(settings).mail
}

pub(crate) fn composer(settings: &[(&str, &str)]) -> Composer {
    let config = config(settings);
    Composer::new(&config.mail, &config.links, ring(7)).unwrap_or_else(|error| panic!("{error}"))
}

/// A ring of one key.
pub(crate) fn ring(id: u8) -> KeyRing {
    KeyRing::parse(&KeyRing::format_key(id, [id; 32])).unwrap()
}

/// An invitation to Jane, signed with key 7, that expires after 7 days.
pub(crate) fn invitation(details: Details) -> Invitation {
    let address = Address::Email(email("jane@example.org"));
    let jane =
        NewRecipient { address, display_name: Some("Jane Doe".to_owned()), avatar_uri: None, existing_user: None };
    let week = Ttl::parse(std::time::Duration::from_secs(7 * 86_400)).unwrap();
    Invitation {
        id: InvitationId(Uuid::from_u128(0x0192_0000_0000_7000_8000_0000_0000_0001)),
        account: AccountId::parse("acme").unwrap(),
        details,
        unknown: UnknownFields::default(),
        facts: Facts::new(Some(1), Some(NEW_YEAR.plus(week))),
        revision: 1,
        generation: 0,
        key_id: 7,
        mails: true,
        recipients: vec![Recipient::new(1, jane)],
        further_recipients: 0,
        labels: BTreeMap::new(),
        creator: "tester".to_owned(),
        updater: "tester".to_owned(),
        archived_at: None,
        deleted_at: None,
        expiry_told_at: None,
        first_sent_at: None,
        last_sent_at: None,
        repeats: Repeats::default(),
        created_at: NEW_YEAR,
        updated_at: NEW_YEAR,
        engagement: Engagement::default(),
        latest_delivery: None,
        deliveries: 1,
        acceptances: Vec::new(),
    }
}

pub(crate) fn email(value: &str) -> Email {
    Email::parse(value).unwrap()
}

pub(crate) fn connection(reconnects: bool) -> Details {
    let purpose = if reconnects {
        ConnectionPurpose::EditConnection { connection_id: Uuid::from_u128(0xc1) }
    } else {
        ConnectionPurpose::CreateConnection { prefill: None }
    };
    Details::Connection(ConnectionDetails {
        company_id: Uuid::from_u128(0xc0),
        purpose,
        shared: SharedDetails::default(),
    })
}

/// The shared fields of an invitation by a person.
fn invited_by(name: &str) -> SharedDetails {
    let inviter = Inviter { display_name: Some(name.to_owned()), ..Inviter::default() };
    SharedDetails { inviter: Some(inviter), ..SharedDetails::default() }
}

pub(crate) fn user(inviter: &str) -> Details {
    Details::User(UserDetails { roles: vec!["viewer".to_owned()], shared: invited_by(inviter) })
}

pub(crate) fn guest(parent: Option<&str>) -> Details {
    Details::Guest(GuestDetails {
        host_organization_id: Uuid::from_u128(0x90),
        parent_organization_id: None,
        parent_organization_name: parent.map(str::to_owned),
        accepted: None,
        shared: SharedDetails::default(),
    })
}

pub(crate) fn general(scope: &str, inviter: &str, variables: &[(&str, &str)]) -> Details {
    let mut into = Scope::new("team", "t1");
    into.display_name = Some(scope.to_owned());
    let template_variables = variables.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect();
    Details::General(Box::new(GeneralDetails {
        usage: Usage::SingleUse,
        scope: Some(into),
        explicit_scope: true,
        groups: Vec::new(),
        roles: Vec::new(),
        exclusive: false,
        recipient_match: RecipientMatch::Exact,
        domains: Vec::new(),
        caller_data: CallerData { template_variables, ..CallerData::default() },
        shared: invited_by(inviter),
    }))
}

/// A message to recipient 1.
pub(crate) fn delivery(purpose: Purpose) -> Delivery {
    let invitation = InvitationId(Uuid::from_u128(0x0192_0000_0000_7000_8000_0000_0000_0001));
    let message = NewDelivery {
        id: DELIVERY,
        invitation,
        purpose,
        recipient: 1,
        address: None,
        about: None,
        moment: None,
        created_at: NEW_YEAR,
        due_at: NEW_YEAR,
    };
    let (state, lease, last_error, sent_at) = (DeliveryState::Sending, None, None, None);
    Delivery { message, state, lease, attempts: 1, last_error, sent_at, due_at: Some(NEW_YEAR) }
}

/// A message to the inviter.
pub(crate) fn notice(purpose: Purpose) -> Delivery {
    let mut delivery = delivery(purpose);
    delivery.message.recipient = 0;
    delivery
}

/// A message that somebody with an address gets, and not a recipient.
pub(crate) fn delivery_to(purpose: Purpose, address: &str) -> Delivery {
    let mut delivery = delivery(purpose);
    delivery.message.recipient = 0;
    delivery.message.address = Some(email(address));
    delivery
}

/// Some invitation's mail to an address.
pub(crate) fn mail_to(address: &str) -> Mail {
    let mut invitation = invitation(user("Ada Lovelace"));
    invitation.recipients[0].address = Address::Email(email(address));
    let composed = composer(&[]).compose(&delivery(Purpose::Invitation), &invitation, About::Nothing, NEW_YEAR);
    composed.unwrap_or_else(|error| panic!("{error}"))
}

/// The moment some seconds into the year.
pub(crate) fn seconds(seconds: i64) -> Timestamp {
    Timestamp::from_micros(NEW_YEAR.micros() + seconds * 1_000_000)
}
