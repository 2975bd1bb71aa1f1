//! `RedemptionService.VerifyReceipt`: shows what a person did on the page of an invitation. It reads nothing but the receipt.

use tonic::Status;

use crate::api::convert::timestamp;
use crate::api::execute::{Api, note_invitation};
use crate::api::resource::{acceptance_name, invitation_name};
use crate::domain::secret::receipt::{Answer, Receipt};
use crate::domain::secret::token::Token;
use crate::domain::secret::verification::EmailProof;
use crate::domain::value::text::AccountId;
use crate::pb;
use crate::server::status;

/// Opens a receipt for an account.
pub(super) fn verify_receipt(
    api: &Api,
    account: &AccountId,
    receipt: &str,
) -> Result<pb::VerifyReceiptResponse, Status> {
    let receipt = Receipt::open(&api.ring, account, receipt).ok_or_else(status::receipt_invalid)?;
    if receipt.expire_at <= api.clock.now() {
        return Err(status::receipt_expired());
    }
    let Receipt { invitation, answer, email, expire_at } = receipt;
    note_invitation(invitation);
    let shown = pb::VerifyReceiptResponse {
        invitation: invitation_name(invitation),
        email: email.unwrap_or_default(),
        account: account.as_str().to_owned(),
        expire_time: Some(timestamp(expire_at)),
        ..pb::VerifyReceiptResponse::default()
    };
    Ok(match answer {
        Answer::Accepted { acceptance, subject } => pb::VerifyReceiptResponse {
            outcome: pb::ReceiptOutcome::Accepted.into(),
            acceptance: acceptance_name(invitation, acceptance),
            subject,
            ..shown
        },
        Answer::Declined => pb::VerifyReceiptResponse { outcome: pb::ReceiptOutcome::Declined.into(), ..shown },
        Answer::Intended { link, proof } => {
            // A receipt is younger than the key that its link was signed with, unless that has just left the ring.
            let token = Token::sign(&link, &api.ring).ok_or_else(status::receipt_invalid)?;
            let nonce = api.entropy.bytes();
            let seal = |proof: &EmailProof| proof.seal(&api.ring, account, invitation, nonce);
            pb::VerifyReceiptResponse {
                outcome: pb::ReceiptOutcome::Intended.into(),
                token: token.reveal().to_owned(),
                email_proof: proof.as_ref().and_then(seal).unwrap_or_default(),
                ..shown
            }
        }
    })
}
