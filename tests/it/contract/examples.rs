//! The examples in the comments of RPCs, each of which is run.

use invitation_service::pb;
use prost::Message as _;
use prost_reflect::{DescriptorPool, DynamicMessage};
use tonic::Code;

use super::raw;
use super::raw::Rpc;
use super::request::{self, Known, call};
use crate::support::build::guests::HOST;
use crate::support::build::messages;
use crate::support::database::TestDatabase;
use crate::support::service::Service;

/// The UUID in the names of examples.
const UUID: &str = "01a1fd3e-9eb1-7000-8000-000000000001";
/// The organization in examples.
const ORGANIZATION: &str = "01920000-0000-7000-8000-00000000000a";

/// Returns the request that the comment of an RPC shows.
fn example(rpc: &Rpc) -> &str {
    let (_, rest) = rpc.comment.split_once("Example: `").unwrap_or_else(|| panic!("{} has no example", rpc.path));
    rest.split_once('`').unwrap().0
}

/// Puts names that exist in the place of those of an example.
fn with_names(example: &str, known: &Known) -> String {
    let invitation = format!("invitations/{}", known.id);
    let connection = format!("connectionInvitations/{}", known.id);
    let recipient = format!("{}/recipients/1", known.user.replace("userInvitations", "invitations"));
    [
        (format!("invitations/{UUID}/acceptances/{UUID}"), known.acceptance.as_str()),
        (format!("invitations/{UUID}/deliveries/{UUID}"), &known.delivery),
        (format!("invitations/{UUID}/recipients/1"), &recipient),
        (format!("invitations/{UUID}/events"), &format!("{invitation}/events")),
        (format!("connectionInvitations/{UUID}"), &connection),
        (format!("userInvitations/{UUID}"), &known.user),
        (format!("guestInvitations/{UUID}"), &known.guest),
        (format!("organizationGrants/{UUID}"), &known.organizations),
        (format!("suppressions/{UUID}"), &known.suppression),
        ("gone@example.org".to_owned(), &known.email("suppressed")),
        ("apiKeys/billing".to_owned(), &known.api_key),
        (format!("webhookEndpoints/{UUID}/attempts/{UUID}"), &known.attempt),
        (format!("webhookEndpoints/{UUID}"), &known.endpoint),
        (format!("invitations/{UUID}"), &known.general),
        ("inv_AQIB...".to_owned(), &known.user_token()),
        ("<01a1fd3e@mail.example>".to_owned(), &known.message_id),
        (ORGANIZATION.to_owned(), HOST),
        ("\"u-1\"".to_owned(), &format!("{:?}", known.id)),
        ("\"u-17\"".to_owned(), &format!("{:?}", known.id)),
    ]
    .into_iter()
    .fold(example.to_owned(), |text, (shown, name)| text.replace(&shown, name))
}

#[tokio::test(crate = "crate::support::limit")]
async fn example_of_each_rpc_is_a_request_that_it_takes() {
    let database = TestDatabase::sqlite();
    let service = Service::start(&database).await;
    let pool = DescriptorPool::decode(pb::DESCRIPTORS).unwrap();
    let mut known = request::known(&service, None, messages::COMPANY).await;
    for rpc in raw::reads_first() {
        if !rpc.reads {
            known = request::known(&service, None, messages::COMPANY).await;
        }
        let json = with_names(example(rpc), &known);
        let descriptor = pool.get_message_by_name(rpc.input.trim_start_matches('.')).unwrap();
        let mut reader = serde_json::Deserializer::from_str(&json);
        let parsed =
            DynamicMessage::deserialize(descriptor, &mut reader).unwrap_or_else(|error| panic!("{json}: {error}"));
        let answer = call(&service, rpc, parsed.encode_to_vec()).await;
        // An example of an accept or of a code may fail by the state that the examples before it left.
        let taken = |code| !matches!(code, Code::InvalidArgument | Code::NotFound | Code::Unknown | Code::Internal);
        answer
            .map(drop)
            .or_else(|status| if taken(status.code()) { Ok(()) } else { Err((rpc.path.clone(), json, status)) })
            .unwrap();
    }
    service.stop().await;
}
