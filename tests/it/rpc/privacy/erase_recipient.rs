//! EraseRecipient: nothing of the person is left in any table, and everything else is as it was.

use data_encoding::{BASE64, BASE64URL_NOPAD};
use invitation_service::pb;
use invitation_service::pb::event::Payload;
use invitation_service::pb::{InvitationState as State, RecipientState, TargetType};
use sea_orm::{DatabaseConnection, DbBackend};
use tonic::Code;

use super::{ADDRESS, BOB, Made, NAME, PHONE, SUBJECT, columns, erase, general, make, texts};
use crate::rpc::redemption::keys;
use crate::support::build::generals::{happened, verified};
use crate::support::build::{generals, guests, messages, users};
use crate::support::database::TestDatabase;
use crate::support::expect::{refused, violated};
use crate::support::on_both;
use crate::support::service::Service;

on_both!(
    migrated:
    erased_person_is_in_no_column_of_any_table,
    states_and_counts_stay_and_open_invitations_end,
    erased_person_may_be_invited_and_accept_again,
    other_recipients_keep_their_invitation,
    retry_answers_the_same_and_dry_run_changes_nothing,
    event_of_the_erasure_names_what_was_erased,
    mail_to_the_person_is_cancelled,
    people_of_another_account_are_left_alone,
    wrong_address_is_refused,
);

/// The texts by which the person could be known, in the forms in which a column may hold them.
fn needles() -> Vec<String> {
    let plain = [ADDRESS, "quentin.zebra", NAME, PHONE, SUBJECT].map(str::to_lowercase);
    let escaped = ["quentin.zebra\\u0040", "quentin.zebra%40"].map(str::to_owned);
    let mut all: Vec<String> = plain.into_iter().chain(escaped).collect();
    // The bytes of a text may begin anywhere in base64; the characters at the ends depend on what is beside them.
    for text in [ADDRESS, &ADDRESS.to_lowercase(), NAME] {
        for offset in 0..3 {
            let padded = [&vec![b'x'; offset], text.as_bytes()].concat();
            for coded in [BASE64.encode(&padded), BASE64URL_NOPAD.encode(&padded)] {
                let inner = coded.trim_end_matches('=');
                all.push(inner[4 * usize::from(offset > 0)..inner.len() - 2].to_lowercase());
            }
        }
    }
    all
}

/// Every row of every table as a text, without case.
async fn dump(database: &DatabaseConnection) -> Vec<String> {
    let mut rows = Vec::new();
    for (table, columns) in columns(database).await {
        let sql = match database.get_database_backend() {
            DbBackend::Postgres => format!("SELECT t::text FROM {table} t"),
            _ if columns.is_empty() => continue,
            _ => {
                let texts = columns.iter().map(|column| format!("coalesce(CAST({column} AS text), '')"));
                format!("SELECT {} FROM {table}", texts.collect::<Vec<_>>().join(" || ' ' || "))
            }
        };
        rows.extend(texts(database, &sql).await.into_iter().map(|row| format!("{table}: {}", row.to_lowercase())));
    }
    rows
}

/// The rows with one of the needles.
async fn traces(service: &Service) -> Vec<String> {
    let (database, needles) = (service.connect().await, needles());
    let mut rows = dump(&database).await;
    database.close().await.unwrap();
    rows.retain(|row| needles.iter().any(|needle| row.contains(needle)));
    rows
}

async fn erased_person_is_in_no_column_of_any_table(database: TestDatabase) {
    let service = Service::start(&database).await;
    make(&service).await;
    let before = traces(&service).await;
    let tables = ["invitation", "recipient", "acceptance", "event", "outbox", "slot", "label"];
    for table in tables {
        let has = before.iter().any(|row| row.starts_with(&format!("{table}:")));
        assert!(has, "{table} has nothing to be erased: the test shows nothing");
    }
    erase(&service, "quentin.zebra@EXAMPLE.ORG", "").await;
    // The idempotency keys of calls go by themselves, after two days.
    let left: Vec<_> = traces(&service).await.into_iter().filter(|row| !row.starts_with("request:")).collect();
    assert!(left.is_empty(), "{left:#?}");
    service.stop().await;
}

fn state(made: &pb::Invitation) -> State {
    made.state()
}

async fn now(service: &Service, made: &Made, which: &str) -> pb::Invitation {
    general(service, &made[which].uid).await
}

async fn states_and_counts_stay_and_open_invitations_end(database: TestDatabase) {
    let service = Service::start(&database).await;
    let made = make(&service).await;
    let answer = erase(&service, ADDRESS, "").await;
    assert_eq!((answer.invitation_count, answer.acceptance_count, answer.more), (6, 2, false));
    assert!(answer.event_count >= 4 && answer.message_count >= 2, "{answer:?}");
    for (which, after) in [
        ("user", State::Revoked),
        ("guest", State::Revoked),
        ("connection", State::Active),
        ("targets", State::Revoked),
        ("declined", State::Declined),
        ("link", State::Active),
    ] {
        let (before, now) = (&made[which], now(&service, &made, which).await);
        assert_eq!((state(&now), now.use_count), (after, before.use_count), "{which}");
        assert_eq!((&now.name, &now.create_time), (&before.name, &before.create_time), "{which}");
        assert_eq!((&now.scope, now.targets.len()), (&before.scope, before.targets.len()), "{which}");
    }
    let link = now(&service, &made, "link").await;
    let list = pb::ListAcceptancesRequest { parent: link.name.clone(), ..Default::default() };
    let mut listed = service.invitations().list_acceptances(list).await.unwrap().into_inner().acceptances;
    listed.sort_unstable_by(|one, other| one.subject.cmp(&other.subject));
    let subjects: Vec<_> = listed.iter().map(|acceptance| acceptance.subject.as_str()).collect();
    let erased = format!("erased:{}", listed[1].name.rsplit('/').next().unwrap());
    assert_eq!(subjects, ["bob", erased.as_str()]);
    assert_eq!((listed[0].email.as_str(), listed[1].email.as_str()), (BOB, ""));
    let again = erase(&service, ADDRESS, "").await;
    assert_eq!(again, pb::EraseRecipientResponse::default(), "nothing is left");
    service.stop().await;
}

async fn erased_person_may_be_invited_and_accept_again(database: TestDatabase) {
    let service = Service::start(&database).await;
    let made = make(&service).await;
    erase(&service, ADDRESS, "").await;
    users::create(&service, users::user(ADDRESS)).await;
    guests::create(&service, guests::guest(ADDRESS)).await;
    let link = &made["link"].invitation_token;
    let accept = pb::AcceptInvitationRequest { acceptor: super::acceptor(), ..messages::accept(link, SUBJECT) };
    let accepted = service.redemptions().accept_invitation(accept).await.unwrap().into_inner();
    assert!(!accepted.already_accepted);
    assert_eq!(accepted.invitation.unwrap().use_count, 3, "a person who is not known any more is another one");
    let again = erase(&service, ADDRESS, "").await;
    assert_eq!((again.invitation_count, again.acceptance_count), (3, 1));
    service.stop().await;
}

async fn other_recipients_keep_their_invitation(database: TestDatabase) {
    let service = Service::start(&database).await;
    let made = make(&service).await;
    let open = messages::create(&service, messages::invitation_for(&[ADDRESS, BOB])).await;
    erase(&service, ADDRESS, "").await;
    let list = pb::ListRecipientsRequest { parent: format!("invitations/{}", open.uid), ..Default::default() };
    let listed = service.invitations().list_recipients(list.clone()).await.unwrap().into_inner().recipients;
    assert_eq!((listed[0].r#type(), listed[0].state()), (TargetType::Erased, RecipientState::Removed));
    assert_eq!((listed[0].value.as_str(), listed[1].value.as_str()), ("", BOB));
    for (state, ordinals) in [(RecipientState::Removed, vec![1]), (RecipientState::Open, vec![2])] {
        let list = pb::ListRecipientsRequest { states: vec![state.into()], ..list.clone() };
        let listed = service.invitations().list_recipients(list).await.unwrap().into_inner().recipients;
        let found: Vec<_> =
            listed.iter().map(|one| one.name.rsplit('/').next().unwrap().parse::<i32>().unwrap()).collect();
        assert_eq!(found, ordinals, "{state:?}");
    }
    let dead = messages::accept_as(&messages::mailed_token(&open.uid, 1), SUBJECT, ADDRESS, true);
    let refusal = service.redemptions().accept_invitation(dead).await.unwrap_err();
    assert_eq!(refusal.code(), Code::NotFound, "the link of the person is dead");
    let other = messages::accept_as(&messages::mailed_token(&open.uid, 2), "bob", BOB, true);
    service.redemptions().accept_invitation(other).await.unwrap();
    assert_eq!(now(&service, &made, "connection").await.state(), State::Active);
    service.stop().await;
}

async fn retry_answers_the_same_and_dry_run_changes_nothing(database: TestDatabase) {
    let service = Service::start(&database).await;
    make(&service).await;
    let dry = pb::EraseRecipientRequest { email: ADDRESS.to_owned(), validate_only: true, ..Default::default() };
    let before = traces(&service).await;
    let asked = service.privacy().erase_recipient(dry).await.unwrap().into_inner();
    assert_eq!(traces(&service).await, before, "a dry run changes nothing");
    let first = erase(&service, ADDRESS, "once").await;
    assert_eq!(asked, first);
    users::create(&service, users::user(ADDRESS)).await;
    assert_eq!(erase(&service, ADDRESS, "once").await, first, "the same call does nothing twice");
    let user = users::try_create(&service, users::user(ADDRESS)).await.unwrap_err();
    assert_eq!(user.code(), Code::AlreadyExists, "the new invitation is none of the first erasure's");
    let other =
        pb::EraseRecipientRequest { email: BOB.to_owned(), request_id: "once".to_owned(), ..Default::default() };
    let refusal = service.privacy().erase_recipient(other).await;
    refused(refusal.map(drop), Code::FailedPrecondition, "REQUEST_ID_REUSED");
    service.stop().await;
}

async fn event_of_the_erasure_names_what_was_erased(database: TestDatabase) {
    let service = Service::start(&database).await;
    let made = make(&service).await;
    let before = messages::events(&service, &made["connection"].name).await;
    erase(&service, ADDRESS, "").await;
    let after = messages::events(&service, &made["connection"].name).await;
    assert_eq!(after.len(), before.len() + 1);
    for (before, after) in before.iter().zip(&after) {
        let kept =
            |event: &pb::Event| (event.name.clone(), event.uid.clone(), event.r#type.clone(), event.time, event.state);
        assert_eq!(kept(before), kept(after));
    }
    let last = after.last().unwrap();
    assert_eq!(last.r#type, "invitation.recipient_erased");
    let Some(Payload::RecipientErased(erased)) = &last.payload else { panic!("no content: {last:?}") };
    let name = &made["connection"].name;
    assert_eq!(erased.recipients, [format!("{name}/recipients/1")]);
    assert_eq!(erased.acceptances.len(), 1);
    let types = happened(&service, &made["user"].name).await;
    assert_eq!(types[types.len() - 2..], ["revoked", "recipient_erased"]);
    service.stop().await;
}

async fn mail_to_the_person_is_cancelled(database: TestDatabase) {
    let service = Service::start(&database).await;
    let create = messages::creation(messages::invitation_for(&[ADDRESS, BOB]));
    let create = pb::CreateConnectionInvitationRequest { send_email: Some(true), ..create };
    let open = service.connections().create_connection_invitation(create).await.unwrap().into_inner();
    erase(&service, ADDRESS, "").await;
    let list = pb::ListDeliveriesRequest { parent: format!("invitations/{}", open.uid), ..Default::default() };
    let listed = service.deliveries().list_deliveries(list).await.unwrap().into_inner().deliveries;
    let mut states: Vec<_> =
        listed.iter().map(|one| (one.recipient.ends_with("/1"), one.state(), one.address.as_str())).collect();
    states.sort_unstable_by_key(|(first, ..)| *first);
    assert_eq!(states, [(false, pb::DeliveryState::Queued, BOB), (true, pb::DeliveryState::Cancelled, "")]);
    service.stop().await;
}

async fn people_of_another_account_are_left_alone(database: TestDatabase) {
    let (service, key) = keys::start_bound(&database, &[("ours", "*", None), ("theirs", "*", None)]).await;
    for key in &key {
        let inviter = Some(pb::Inviter { display_name: "Ida".to_owned(), ..Default::default() });
        let user = pb::UserInvitation { inviter, ..users::user(ADDRESS) };
        let create = keys::with(key, users::creation(user));
        service.users().create_user_invitation(create).await.unwrap();
    }
    let request = pb::EraseRecipientRequest { email: ADDRESS.to_owned(), ..Default::default() };
    let answer = service.privacy().erase_recipient(keys::with(&key[0], request)).await.unwrap().into_inner();
    assert_eq!(answer.invitation_count, 1);
    let list = pb::ListUserInvitationsRequest { invited_email: ADDRESS.to_owned(), ..Default::default() };
    let listed = service.users().list_user_invitations(keys::with(&key[1], list)).await.unwrap().into_inner();
    assert_eq!(listed.user_invitations.len(), 1);
    service.stop().await;
}

async fn wrong_address_is_refused(database: TestDatabase) {
    let service = Service::start(&database).await;
    for email in ["", "ann", "ann@example.org\r\n.", "@"] {
        let request = pb::EraseRecipientRequest { email: email.to_owned(), ..Default::default() };
        let refusal = service.privacy().erase_recipient(request).await.unwrap_err();
        assert_eq!(violated(&refusal), ["email"], "{email:?}");
        let request = pb::ExportRecipientRequest { email: email.to_owned(), ..Default::default() };
        assert_eq!(violated(&service.privacy().export_recipient(request).await.unwrap_err()), ["email"], "{email:?}");
    }
    let given = generals::create(&service, generals::into_team(&[generals::email(BOB)])).await;
    generals::accept(&service, &[&given.name], verified("bob", BOB)).await;
    let erased = messages::target(TargetType::Erased, "x");
    let refusal = generals::try_create(&service, messages::general(generals::into_team(&[erased]))).await.unwrap_err();
    assert_eq!(refusal.code(), Code::InvalidArgument, "no caller names an erased address");
    service.stop().await;
}
