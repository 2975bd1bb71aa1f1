//! The wall between the organizations of an account: every RPC, by every caller who is none of the host's, at first and again.

use bytes::Bytes;
use invitation_service::pb;
use prost::Message as _;
use tonic::{Code, Status};

use super::idempotency::effects;
use super::raw::{Cells, Rpc};
use super::request::Known;
use super::{raw, request};
use crate::rpc::redemption::keys;
use crate::support::build::guests::{HOST, OTHER_HOST};
use crate::support::build::{generals, guests, messages};
use crate::support::database::TestDatabase;
use crate::support::expect::reason;
use crate::support::on_both;
use crate::support::service::Service;

on_both!(
    migrated:
    no_rpc_tells_or_changes_what_another_organization_has,
    no_replay_outlives_the_grant_that_let_the_call_through,
);

/// A caller: the index of the key, and the organizations that the metadata name.
type Side = (usize, &'static str, &'static str);

const ACCOUNT: Side = (0, HOST, HOST);
const OWN: Side = (1, HOST, HOST);
const OTHER: Side = (2, OTHER_HOST, OTHER_HOST);
const GRANTED: Side = (2, OTHER_HOST, HOST);
/// A key of another organization: for itself, for the host, and in the host's name.
const STRANGERS: [Side; 4] = [OTHER, GRANTED, (2, HOST, HOST), (2, HOST, OTHER_HOST)];

/// Keys of the account, of the host, and of another organization, each with every permission.
async fn start(database: &TestDatabase) -> (Service, Vec<String>) {
    let keys = [("ours", "*", None), ("ours", "*", Some(HOST)), ("ours", "*", Some(OTHER_HOST))];
    keys::start_bound(database, &keys).await
}

async fn call_as(
    (service, key): (&Service, &[String]),
    rpc: &Rpc,
    (caller, requester, target): Side,
    message: &[u8],
) -> Result<Bytes, Status> {
    let mut request = keys::with(&key[caller], Bytes::copy_from_slice(message));
    if rpc.path.contains(".GuestInvitationService/") {
        guests::add(&mut request, requester, target);
    }
    raw::call_as_it_is(service, &rpc.path, request).await
}

/// Returns what the account has, with an invitation of another guest in the place of those that an RPC takes of any kind.
async fn with_guest(service: &Service, key: &[String], known: &Known, number: usize) -> Known {
    let known = Known { id: format!("01920000-0000-7000-8000-{number:012}"), ..known.clone() };
    let mut create = keys::with(&key[0], guests::creation(guests::guest(&known.email("guest"))));
    guests::add(&mut create, HOST, HOST);
    let guest = service.guests().create_guest_invitation(create).await.unwrap().into_inner().name;
    let list = pb::ListDeliveriesRequest { parent: guest.clone(), ..Default::default() };
    let listed = service.deliveries().list_deliveries(keys::with(&key[0], list)).await.unwrap().into_inner();
    let pb::Delivery { name: delivery, message_id, .. } = listed.deliveries.into_iter().next().unwrap();
    Known { general: guest.clone(), guest, delivery, message_id, ..known }
}

/// A valid request of an RPC, about the guest where it can be.
fn message_of(rpc: &Rpc, known: &Known) -> Vec<u8> {
    let (guest, parent) = (known.guest.clone(), known.guest.clone());
    let general = parent.replace("guestInvitations", "invitations");
    let email = || pb::TargetRef { r#type: pb::TargetType::Email.into(), value: known.email("guest") };
    let message = match rpc.path.rsplit_once('/').unwrap().1 {
        "ListEvents" => pb::ListEventsRequest { parent, ..Default::default() }.encode_to_vec(),
        "GetEvent" => pb::GetEventRequest { name: format!("{general}/events/1") }.encode_to_vec(),
        "GetRecipient" => pb::GetRecipientRequest { name: format!("{general}/recipients/1") }.encode_to_vec(),
        "ListAcceptances" => pb::ListAcceptancesRequest { parent, ..Default::default() }.encode_to_vec(),
        "ListDeliveries" => pb::ListDeliveriesRequest { parent, ..Default::default() }.encode_to_vec(),
        "RedeliverDeliveries" => pb::RedeliverDeliveriesRequest { parent, ..Default::default() }.encode_to_vec(),
        "ListInvitations" => pb::ListInvitationsRequest::default().encode_to_vec(),
        "ListOpenInvitations" => {
            pb::ListOpenInvitationsRequest { target: Some(email()), ..Default::default() }.encode_to_vec()
        }
        "BatchGetInvitations" => pb::BatchGetInvitationsRequest { names: vec![guest] }.encode_to_vec(),
        "RevokeInvitations" => {
            let kinds = vec![pb::InvitationKind::Guest.into()];
            let filter = Some(pb::InvitationFilter { kinds, ..Default::default() });
            pb::RevokeInvitationsRequest { filter, ..Default::default() }.encode_to_vec()
        }
        "AcceptInvitations" => {
            let email = known.email("guest");
            let acceptor =
                pb::Acceptor { subject: "ann".to_owned(), email, email_verified: true, ..Default::default() };
            let (entries, acceptor) = (generals::entries(&[guest]), Some(acceptor));
            pb::AcceptInvitationsRequest { entries, acceptor, ..Default::default() }.encode_to_vec()
        }
        "DeclineInvitations" => {
            pb::DeclineInvitationsRequest { names: vec![guest], target: Some(email()), ..Default::default() }
                .encode_to_vec()
        }
        _ => request::valid(&rpc.path, known).1,
    };
    let id = raw::inputs(rpc).into_iter().find(|input| input.path == "request_id");
    [message, id.map(|id| id.text("wall")).unwrap_or_default()].concat()
}

/// Returns the texts that an answer holds and the request does not: addresses of others, ids, and what links are made of.
fn leaks(known: &Known, sent: &[u8], answer: &Result<Bytes, Status>) -> Vec<String> {
    let told = match answer {
        Ok(answer) => answer.to_vec(),
        Err(status) => [status.message().as_bytes(), status.details()].concat(),
    };
    let holds = |message: &[u8], text: &str| message.windows(text.len()).any(|window| window == text.as_bytes());
    let uid = |name: &str| name.rsplit('/').next().unwrap().to_owned();
    let marks = [
        known.email("guest"),
        known.email("user"),
        uid(&known.guest),
        uid(&known.user),
        uid(&known.delivery),
        uid(&known.acceptance),
        known.endpoint.clone(),
        "inv_".to_owned(),
    ];
    marks.into_iter().filter(|mark| holds(&told, mark) && !holds(sent, mark)).collect()
}

/// The RPCs but those that take the token of a link, which is a credential of its own, and streams.
fn rpcs() -> impl Iterator<Item = &'static Rpc> {
    raw::rpcs().iter().filter(|rpc| !rpc.path.contains(".RedemptionService/") && !rpc.streams)
}

fn is_write(rpc: &Rpc) -> bool {
    raw::inputs(rpc).iter().any(|input| input.path == "request_id")
}

async fn no_rpc_tells_or_changes_what_another_organization_has(database: TestDatabase) {
    let (service, key) = start(&database).await;
    let calls = (&service, key.as_slice());
    let known = request::known(&service, Some(&key[0]), messages::COMPANY).await;
    let mut about = with_guest(&service, &key, &known, 0).await;
    let (mut own, mut cells) = (Vec::new(), Cells::new("organizations"));
    for (number, rpc) in (1..).zip(rpcs()) {
        if is_write(rpc) {
            about = with_guest(&service, &key, &known, number).await;
        }
        let sent = message_of(rpc, &about);
        // The first call is the stranger's, and the same calls again are replays of the host's.
        for again in [false, true] {
            let before = if is_write(rpc) { Some(effects(&service).await) } else { None };
            for side in STRANGERS {
                let answer = call_as(calls, rpc, side, &sent).await;
                let case = format!("by {side:?}, again: {again}");
                cells.check(&rpc.path, &case);
                let case = format!("{} {case}: {answer:?}", rpc.path);
                let leaks = leaks(&about, &sent, &answer);
                assert!(leaks.is_empty() || makes_its_own(rpc), "{leaks:?} {case}");
                let refusal = answer.as_ref().err().map(|status| reason(status).0);
                let fits = [None, Some(Code::NotFound), Some(Code::PermissionDenied), Some(Code::InvalidArgument)];
                assert!(fits.contains(&refusal), "{case}");
            }
            if let Some(before) = before {
                assert!(makes_its_own(rpc) || effects(&service).await == before, "{}", rpc.path);
            }
            if !again && call_as(calls, rpc, OWN, &sent).await.is_ok() {
                own.push(rpc.path.as_str());
            }
            // The account calls too: nobody may be told what it did either.
            drop(call_as(calls, rpc, ACCOUNT, &sent).await);
        }
    }
    let covers = |path: &str| !path.contains(".RedemptionService/") && !path.ends_with("/WatchEvents");
    cells.assert_complete(covers, 2 * STRANGERS.len());
    assert_eq!(own.len(), 32, "the RPCs that a key of one organization can call about its guests: {own:#?}");
    service.stop().await;
}

/// Whether an RPC makes something of the caller's own: an invitation, or the memory of a call that found nothing.
fn makes_its_own(rpc: &Rpc) -> bool {
    ["/CreateGuestInvitation", "/ReassignInvitations", "/RevokeInvitations", "/SettleInvitations"]
        .iter()
        .any(|method| rpc.path.ends_with(method))
}

async fn no_replay_outlives_the_grant_that_let_the_call_through(database: TestDatabase) {
    let (service, key) = start(&database).await;
    let calls = (&service, key.as_slice());
    let known = request::known(&service, Some(&key[0]), messages::COMPANY).await;
    let mut through = Vec::new();
    for (number, rpc) in (1..).zip(rpcs()) {
        let known = with_guest(&service, &key, &known, number).await;
        let grant = pb::OrganizationGrant {
            requester_organization_id: OTHER_HOST.to_owned(),
            target_organization_id: HOST.to_owned(),
            permissions: ["guest_invitations.read", "guest_invitations.write"].map(str::to_owned).to_vec(),
            ..Default::default()
        };
        let create = pb::CreateOrganizationGrantRequest { organization_grant: Some(grant), ..Default::default() };
        let grant = service.access().create_organization_grant(keys::with(&key[0], create)).await.unwrap().into_inner();
        let sent = message_of(rpc, &known);
        let first = call_as(calls, rpc, GRANTED, &sent).await;
        through.extend(first.is_ok().then_some(rpc.path.as_str()));
        let delete = pb::DeleteOrganizationGrantRequest { name: grant.name, ..Default::default() };
        service.access().delete_organization_grant(keys::with(&key[0], delete)).await.unwrap();
        let before = if is_write(rpc) { Some(effects(&service).await) } else { None };
        let again = call_as(calls, rpc, GRANTED, &sent).await;
        let case = format!("{}: {first:?} {again:?}", rpc.path);
        assert!(leaks(&known, &sent, &again).is_empty(), "{case}");
        if let Some(before) = before {
            assert!(makes_its_own(rpc) || effects(&service).await == before, "{case}");
        }
    }
    assert_eq!(through.len(), 32, "the RPCs that a grant lets through: {through:#?}");
    service.stop().await;
}
