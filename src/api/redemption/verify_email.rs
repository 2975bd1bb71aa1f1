//! `RedemptionService.VerifyEmail`: exchanges a code for a proof of the address.

use tonic::Status;

use crate::api::execute::{Api, Call, note_invitation};
use crate::domain::command::{Access, Action, Request, VerifyEmail};
use crate::domain::secret::verification::{
    Code, CodeForm, EmailProof, FreeTries, address_keys, addressee, client_keys,
};
use crate::domain::value::email::Email;
use crate::server::status;
use crate::store::{CodeTry, KeptCode, Read, Tried};

/// A person's try of a code.
pub(super) struct Try {
    /// The address.
    pub(super) email: Email,
    /// The code.
    pub(super) code: Code,
    /// The key by which the caller tells its visitors apart.
    pub(super) client_key: Option<String>,
}

/// Verifies an address and returns its proof, sealed and in clear. A used code gives the same proof again while it is
/// valid. Every wrong code is refused alike.
pub(super) async fn verify_email(
    api: &Api,
    call: &Call,
    access: Access,
    Try { email, code, client_key }: Try,
) -> Result<(String, EmailProof), Status> {
    let reach = api.reach_by(call, &access).await?;
    let Read { found: invitation, now } = api.find_by(&reach, &access).await?;
    let allowed = addressee(&invitation, &email, now)?.is_some();
    let (ring, account) = (&api.ring, &invitation.account);
    let clients = client_keys(ring, account, invitation.id, client_key.as_deref());
    let client = clients.first().ok_or_else(|| api.defect(&"there is no key"))?;
    let keys = address_keys(ring, account, invitation.id, &email);
    let kept = api.read(api.store.find_codes(account, invitation.id, &keys)).await?;
    // A client may be known by another key by now, such as another IP address, so the code of any client fits. Each is derived,
    // so that an answer takes the same time whether one fits or not.
    let is_it = |kept: &KeptCode| kept.verification.code(ring, &email) == Some(code);
    let fits = kept.iter().fold(None, |fits, kept| if is_it(kept) && kept.can_be_tried { Some(kept) } else { fits });
    let fits = fits.filter(|_| allowed);
    let own = kept.iter().find(|kept| clients.contains(&kept.client_key));
    let tried = CodeTry {
        account,
        invitation: invitation.id,
        client_key: client,
        code: fits.or(own),
        is_right: fits.is_some(),
        free: FreeTries::of(CodeForm::of(&invitation), client_key.is_some()),
    };
    let tried = api.read(api.store.try_code(&tried)).await?;
    let fits = match (tried, fits) {
        (Tried::Paused(limited), _) => return Err(status::rate_limited(limited.limit, limited.retry_after)),
        (Tried::Right, Some(fits)) => &fits.verification,
        (Tried::Right | Tried::Wrong, _) => return Err(status::verification_code_invalid()),
    };
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
