//! VerifyReceipt: what it shows of each answer, to whom, and for how long.

use std::time::Duration;

use invitation_service::domain::secret::receipt::Answer;
use invitation_service::domain::secret::token::Claims;
use invitation_service::domain::secret::verification::EmailProof;
use invitation_service::domain::value::email::Email;
use invitation_service::domain::value::id::{AcceptanceId, InvitationId};
use invitation_service::pb;
use tonic::{Code, Status};
use uuid::Uuid;

use super::keys;
use crate::support::build::{messages, receipts};
use crate::support::database::{NEW_YEAR, TestDatabase};
use crate::support::expect::refused;
use crate::support::on_both;
use crate::support::service::Service;

on_both!(
    migrated:
    receipt_shows_its_answer_to_its_account_alone,
    receipt_is_refused_from_the_moment_of_its_end,
    receipt_of_an_intent_is_enough_to_accept,
);

const UID: &str = "01920000-0000-7000-8000-0000000000aa";
const ANN: &str = "ann@example.org";

fn accepted() -> Answer {
    let acceptance = AcceptanceId(Uuid::from_u128(0x0192_0000_0000_7000_8000_0000_0000_0001));
    Answer::Accepted { acceptance, subject: format!("email:{ANN}") }
}

async fn verify(service: &Service, key: &str, receipt: &str) -> Result<pb::VerifyReceiptResponse, Status> {
    let request = keys::with(key, pb::VerifyReceiptRequest { receipt: receipt.to_owned() });
    service.redemptions().verify_receipt(request).await.map(tonic::Response::into_inner)
}

async fn receipt_shows_its_answer_to_its_account_alone(database: TestDatabase) {
    let accounts = [("ours", "invitations.redeem"), ("theirs", "*"), ("ours", "invitations.read")];
    let (service, key) = keys::start(&database, &accounts).await;
    let receipt = receipts::of(UID, accepted(), ANN).sealed_for("ours");
    let shown = verify(&service, &key[0], &receipt).await.unwrap();
    let name = format!("invitations/{UID}");
    let wanted = pb::VerifyReceiptResponse {
        outcome: pb::ReceiptOutcome::Accepted.into(),
        acceptance: format!("{name}/acceptances/01920000-0000-7000-8000-000000000001"),
        invitation: name,
        subject: format!("email:{ANN}"),
        email: ANN.to_owned(),
        account: "ours".to_owned(),
        expire_time: messages::at(3_600),
        ..Default::default()
    };
    assert!(shown == wanted, "another answer than that of the receipt");
    let declined = receipts::of(UID, Answer::Declined, "").sealed_for("ours");
    let shown = verify(&service, &key[0], &declined).await.unwrap();
    assert_eq!((shown.outcome(), shown.acceptance.as_str()), (pb::ReceiptOutcome::Declined, ""));

    refused(verify(&service, &key[1], &receipt).await, Code::PermissionDenied, "RECEIPT_INVALID");
    refused(verify(&service, &key[2], &receipt).await, Code::PermissionDenied, "PERMISSION_DENIED");
    for forged in [keys::altered(&receipt, 40), receipt[..receipt.len() - 1].to_owned(), "nonsense".to_owned()] {
        refused(verify(&service, &key[0], &forged).await, Code::PermissionDenied, "RECEIPT_INVALID");
    }
    let token = messages::mailed_token(UID, 0);
    refused(verify(&service, &key[0], &token).await, Code::PermissionDenied, "RECEIPT_INVALID");
    refused(verify(&service, &key[0], "").await, Code::InvalidArgument, "INVALID_FIELD");
    service.stop().await;
}

async fn receipt_is_refused_from_the_moment_of_its_end(database: TestDatabase) {
    let (service, key) = keys::start(&database, &[("ours", "*")]).await;
    let receipt = receipts::of(UID, accepted(), ANN).sealed_for("ours");
    service.clock.advance(Duration::from_micros(3_599_999_999));
    verify(&service, &key[0], &receipt).await.unwrap();
    service.clock.advance(Duration::from_micros(1));
    refused(verify(&service, &key[0], &receipt).await, Code::PermissionDenied, "RECEIPT_EXPIRED");
    service.stop().await;
}

async fn receipt_of_an_intent_is_enough_to_accept(database: TestDatabase) {
    let (service, key) = keys::start(&database, &[("ours", "*")]).await;
    let create = keys::with(&key[0], messages::creation(messages::invitation_for(&[ANN])));
    let made = service.connections().create_connection_invitation(create).await.unwrap().into_inner();
    let link = Claims { key_id: 2, invitation: InvitationId(made.uid.parse().unwrap()), generation: 0, recipient: 0 };
    let email = Email::parse(ANN).unwrap();
    let proof = EmailProof::new(Uuid::from_u128(1), email, NEW_YEAR);
    let receipt = receipts::of(&made.uid, Answer::Intended { link, proof: Some(proof) }, ANN).sealed_for("ours");
    let shown = verify(&service, &key[0], &receipt).await.unwrap();
    assert_eq!((shown.outcome(), shown.email.as_str()), (pb::ReceiptOutcome::Intended, ANN));
    assert!(shown.token == made.invitation_token, "the token is another one");
    let accept =
        pb::AcceptInvitationRequest { email_proof: shown.email_proof, ..messages::accept(&shown.token, "u-17") };
    let accepted = service.redemptions().accept_invitation(keys::with(&key[0], accept)).await.unwrap().into_inner();
    assert_eq!(accepted.acceptance.unwrap().email, ANN);
    service.stop().await;
}
