//! `RedemptionService.SendVerificationCode`: mails a code to an address if the invitation allows it, without revealing
//! whether it does.

use tonic::Status;

use crate::api::execute::{Api, Call};
use crate::domain::command::Access;
use crate::domain::delivery::{NewDelivery, Purpose};
use crate::domain::secret::verification::{
    Addressee, CODE_PRIORITY, CodeForm, Verification, address_keys, addressee, client_keys, is_invited,
};
use crate::domain::value::email::Email;
use crate::domain::value::id::IdSeed;
use crate::server::status;
use crate::store::{NewVerification, Read, Requested};

/// Sends a code, and returns when it ends and when the next one may be requested.
pub(crate) async fn send_verification_code(
    api: &Api,
    call: &Call,
    access: &Access,
    email: &Email,
    client_key: Option<&str>,
) -> Result<Requested, Status> {
    let reach = api.reach_by(call, access).await?;
    let Read { found: invitation, now } = api.find_by(&reach, access).await?;
    let seed = IdSeed::new(now, api.entropy.bytes());
    let verification = Verification {
        account: invitation.account.clone(),
        invitation: invitation.id,
        id: seed.nth(1),
        key_id: api.ring.signing_key(),
        form: CodeForm::of(&invitation),
    };
    let message = addressee(&invitation, email, now)?.map(|to| {
        let (recipient, address) = match to {
            Addressee::Recipient(ordinal) => (ordinal, None),
            Addressee::Address(address) => (0, Some(address)),
        };
        NewDelivery {
            id: seed.nth(2),
            invitation: invitation.id,
            purpose: Purpose::VerificationCode,
            recipient,
            address,
            about: Some(verification.id),
            moment: None,
            created_at: now,
            due_at: now.earlier(CODE_PRIORITY),
        }
    });
    let (ring, account) = (&api.ring, &invitation.account);
    let new = NewVerification {
        address_key: address_keys(ring, account, invitation.id, email).swap_remove(0),
        client_key: client_keys(ring, account, invitation.id, client_key).swap_remove(0),
        limits_client: client_key.is_some(),
        invited: is_invited(&invitation, email),
        // Elsewhere nobody but the invited is mailed to.
        limits_others: verification.form == CodeForm::Characters,
        verification,
        message,
    };
    match api.read(api.store.request_verification(&invitation, &new)).await? {
        Ok(requested) => Ok(requested),
        Err(limited) => Err(status::rate_limited(limited.limit, limited.retry_after)),
    }
}
