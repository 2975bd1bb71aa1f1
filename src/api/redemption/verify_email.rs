//! `RedemptionService.VerifyEmail`: exchanges a code for a proof of the address.

use tonic::Status;

use crate::api::execute::{Api, Call, note_invitation};
use crate::domain::command::{Access, Action, Request, VerifyEmail};
use crate::domain::secret::verification::{Code, EmailProof, address_keys, addressee};
use crate::domain::value::email::Email;
use crate::server::status;
use crate::store::Read;

/// Verifies an address and returns its proof, sealed and in clear. A used code gives the same proof again while it is
/// valid. Every wrong code is refused alike.
pub(crate) async fn verify_email(
    api: &Api,
    call: &Call,
    access: Access,
    email: Email,
    code: Code,
) -> Result<(String, EmailProof), Status> {
    let reach = api.reach_by(call, &access).await?;
    let Read { found: invitation, now } = api.find_by(&reach, &access).await?;
    let allowed = addressee(&invitation, &email, now)?.is_some();
    let (ring, account) = (&api.ring, &invitation.account);
    let keys = address_keys(ring, account, invitation.id, &email);
    // The try is counted before the code is compared, so that parallel tries cannot exceed the limit.
    let tried = api.read(api.store.try_verification(account, invitation.id, &keys)).await?;
    let fits = tried.iter().find(|tried| tried.code(ring, &email) == Some(code));
    let fits = fits.filter(|_| allowed).ok_or_else(status::verification_code_invalid)?;
    if !api.read(api.store.use_verification(fits)).await? {
        return Err(status::verification_code_invalid());
    }
    // The request of the code is saved with its event, so that a retry after an outage, or beside another call, has the
    // same proof and no second event.
    let digests = ring.body_digests(email.key().as_bytes());
    let request = Request::new("VerifyEmail", &fits.id.to_string(), digests);
    let action = Action::VerifyEmail(VerifyEmail { access, email: email.clone() });
    note_invitation(invitation.id);
    let command = api.command(call, &reach, Some(request), action);
    let executed = api.store.executor().execute(command, Some(call.deadline.0)).await?;
    let proof = EmailProof::new(fits.id, email, executed.decided_at);
    let sealed = proof.seal(ring, account, invitation.id, api.entropy.bytes());
    let sealed = sealed.ok_or_else(|| api.defect(&"a proof could not be sealed"))?;
    Ok((sealed, proof))
}
