//! PrivacyService: people are erased and exported, on both databases.

mod again;
mod erase_recipient;
mod export_recipient;
mod inventory;
mod queued_codes;

use std::collections::BTreeMap;
use std::time::Duration;

use invitation_service::pb;
use sea_orm::{ConnectionTrait as _, DatabaseConnection, DbBackend, Statement};

use crate::contract::codes;
use crate::support::build::generals::{email, internal};
use crate::support::build::{generals, guests, messages, users};
use crate::support::service::Service;

/// The person: an address as it was given, and everything else that they are known by.
pub(super) const ADDRESS: &str = "Quentin.Zebra@Example.org";
pub(super) const NAME: &str = "Quentin Zebra";
pub(super) const PHONE: &str = "+4915799887766";
pub(super) const SUBJECT: &str = "subject-zebra-77";
/// The time between two invitations, whose ids sort by age.
const SECOND: Duration = Duration::from_secs(1);
/// Another person.
pub(super) const BOB: &str = "bob@example.org";

/// The invitations that the person has something in, by what it is.
pub(super) type Made = BTreeMap<&'static str, pb::Invitation>;

pub(super) async fn erase(service: &Service, email: &str, request_id: &str) -> pb::EraseRecipientResponse {
    let request =
        pb::EraseRecipientRequest { email: email.to_owned(), request_id: request_id.to_owned(), ..Default::default() };
    service.privacy().erase_recipient(request).await.unwrap().into_inner()
}

/// The acceptor with everything that can be said about the person.
pub(super) fn acceptor() -> Option<pb::Acceptor> {
    Some(pb::Acceptor {
        subject: SUBJECT.to_owned(),
        email: ADDRESS.to_owned(),
        email_verified: true,
        phone: PHONE.to_owned(),
        display_name: NAME.to_owned(),
        ..Default::default()
    })
}

fn json(text: &str) -> Option<prost_types::Struct> {
    let kind = Some(prost_types::value::Kind::StringValue(text.to_owned()));
    Some(prost_types::Struct { fields: BTreeMap::from([("note".to_owned(), prost_types::Value { kind })]) })
}

/// Makes invitations of every kind in which the person has a role, and does everything that leaves data of theirs.
pub(super) async fn make(service: &Service) -> Made {
    let mut made = Made::new();
    let inviter = || Some(pb::Inviter { display_name: "Ida Inviter".to_owned(), ..Default::default() });
    let user = pb::UserInvitation { message: format!("Dear {NAME}"), inviter: inviter(), ..users::user(ADDRESS) };
    let user = users::create(service, user).await;
    codes::ask(service, &messages::mailed_token(&user.uid, 0), ADDRESS).await.unwrap();
    made.insert("user", general(service, &user.uid).await);
    service.clock.advance(SECOND);
    let guest = guests::create(service, guests::guest(ADDRESS)).await;
    made.insert("guest", general(service, &guest.uid).await);

    service.clock.advance(SECOND);
    let prefill = Some(pb::Prefill { connection_owner_email: ADDRESS.to_owned(), ..Default::default() });
    let connection = pb::ConnectionInvitation { prefill, ..messages::invitation_for(&[ADDRESS, BOB]) };
    let connection = messages::create(service, connection).await;
    let accept = pb::AcceptInvitationRequest {
        acceptor: acceptor(),
        request_id: format!("accept-{ADDRESS}"),
        ..messages::accept(&messages::mailed_token(&connection.uid, 1), SUBJECT)
    };
    service.redemptions().accept_invitation(accept).await.unwrap();
    made.insert("connection", general(service, &connection.uid).await);

    let targets = [
        pb::Target { display_name: NAME.to_owned(), ..email(ADDRESS) },
        messages::target(pb::TargetType::Phone, PHONE),
        internal(SUBJECT),
    ];
    let single = pb::Invitation {
        metadata: json(&format!("made for {ADDRESS}")),
        attributes: json(NAME),
        pass_through: format!("crm={ADDRESS}"),
        redirect_uri: "https://app.example/?to=Quentin.Zebra%40Example.org".to_owned(),
        labels: BTreeMap::from([("who".to_owned(), ADDRESS.to_owned()), ("wave".to_owned(), "2".to_owned())]),
        ..generals::into_team(&targets)
    };
    let single = generals::with_conflict(single, pb::OnConflict::Reject);
    service.clock.advance(SECOND);
    let single = generals::try_create(service, single).await.unwrap();
    made.insert("targets", general(service, &single.uid).await);

    service.clock.advance(SECOND);
    let single = generals::create(service, generals::into("red", &[email(ADDRESS)])).await;
    let decline = pb::DeclineInvitationRequest {
        reason: format!("{NAME} has moved"),
        ..messages::decline(&messages::mailed_token(&single.uid, 1))
    };
    service.redemptions().decline_invitation(decline).await.unwrap();
    made.insert("declined", general(service, &single.uid).await);

    service.clock.advance(SECOND);
    let link = pb::Invitation { invitation_type: pb::InvitationType::MultiUse.into(), ..generals::into("blue", &[]) };
    let link = generals::create(service, link).await;
    for acceptor in [acceptor(), Some(generals::verified("bob", BOB))] {
        let accept = pb::AcceptInvitationRequest { acceptor, ..messages::accept(&link.invitation_token, "nobody") };
        service.redemptions().accept_invitation(accept).await.unwrap();
    }
    made.insert("link", general(service, &link.uid).await);
    report(service, &made["user"].name).await;
    // An address of the same domain may accept, so a code is mailed to it.
    let domain = pb::RecipientMatch::Domain.into();
    let bob = pb::Invitation { recipient_match: domain, ..generals::into("green", &[email(BOB)]) };
    let bob = generals::create(service, bob).await;
    codes::ask(service, &bob.invitation_token, ADDRESS).await.unwrap();
    made
}

/// Reports about the first message of an invitation as a mail provider does.
async fn report(service: &Service, parent: &str) {
    let list = pb::ListDeliveriesRequest { parent: parent.to_owned(), ..Default::default() };
    let sent = service.deliveries().list_deliveries(list).await.unwrap().into_inner().deliveries.remove(0);
    let (report, detail) = (pb::DeliveryReport::Bounced.into(), format!("{NAME} is unknown"));
    let request = pb::ReportDeliveryStatusRequest { message_id: sent.message_id, report, detail, ..Default::default() };
    service.deliveries().report_delivery_status(request).await.unwrap();
}

pub(super) async fn general(service: &Service, uid: &str) -> pb::Invitation {
    messages::get_general(service, &format!("invitations/{uid}")).await
}

/// Reads texts of a database past the service.
pub(super) async fn texts(database: &DatabaseConnection, sql: &str) -> Vec<String> {
    let statement = Statement::from_string(database.get_database_backend(), sql);
    let rows = database.query_all_raw(statement).await.unwrap();
    rows.iter().map(|row| row.try_get_by_index::<Option<String>>(0).unwrap().unwrap_or_default()).collect()
}

/// The tables of the service, and the columns of each that hold a text or JSON.
pub(super) async fn columns(database: &DatabaseConnection) -> BTreeMap<String, Vec<String>> {
    let sql = match database.get_database_backend() {
        DbBackend::Postgres => {
            "SELECT table_name || '.' || column_name || '.' || data_type FROM information_schema.columns
                WHERE table_schema = 'public' ORDER BY 1"
        }
        _ => {
            "SELECT m.name || '.' || c.name || '.' || lower(c.type) FROM sqlite_master m JOIN pragma_table_info(m.name) c
                WHERE m.type = 'table' AND m.name NOT LIKE 'sqlite_%' ORDER BY 1"
        }
    };
    let mut columns: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for line in texts(database, sql).await {
        let [table, column, kind] = line.splitn(3, '.').collect::<Vec<_>>().try_into().unwrap();
        let entry = columns.entry(table.to_owned()).or_default();
        // A UUID of SQLite is a blob with a name of its own.
        let is_text = ["text", "json", "char"].iter().any(|text| kind.contains(text)) && kind != "uuid_text";
        entry.extend(is_text.then(|| column.to_owned()));
    }
    columns.remove("seaql_migrations");
    columns
}
