//! `revoke` and `resend`: changes of invitations of every kind.

use clap::Args;
use serde_json::{Map, Value, json};

use super::failure::Failure;
use super::flags::{ExpiryArgs, invitation, put};
use super::output::INVITATION;
use super::{Run, Session, warn};

/// The flags of `revoke`.
#[derive(Clone, Debug, Args)]
pub struct RevokeArgs {
    /// Ids or names of the invitations.
    #[arg(value_name = "INVITATION", value_parser = invitation, required = true)]
    names: Vec<String>,
    /// Decide and answer, but change nothing.
    #[arg(long)]
    dry_run: bool,
}

impl Run for RevokeArgs {
    async fn run(self, session: &mut Session) -> Result<(), Failure> {
        let Self { names, dry_run } = self;
        let (total, mut failed) = (names.len(), 0_usize);
        session.output.outlive_reader();
        for name in names {
            let request = json!({"name": name, "validate_only": dry_run});
            match session.client.call("InvitationService.RevokeInvitation", request).await {
                Ok(revoked) => session.output.rows(INVITATION, vec![revoked])?,
                Err(failure) if total == 1 || failure.is_final() => return Err(failure),
                Err(failure) => {
                    warn(&format!("{name}: {failure}"));
                    failed += 1;
                }
            }
        }
        if failed == 0 { Ok(()) } else { Err(Failure::failed(format!("{failed} of {total} could not be revoked"))) }
    }
}

/// The flags of `resend`.
#[derive(Clone, Debug, Args)]
pub struct ResendArgs {
    /// Id or name of the invitation.
    #[arg(value_name = "INVITATION", value_parser = invitation)]
    name: String,
    /// Replace the link, and print the new one; all earlier links are dead.
    #[arg(long)]
    rotate: bool,
    #[command(flatten)]
    expiry: ExpiryArgs,
    /// Ordinal of a recipient, as its name ends with; can be given several times. All who are open, if it is not given.
    #[arg(long = "recipient", value_name = "ORDINAL")]
    recipients: Vec<u32>,
    /// Mail nobody.
    #[arg(long)]
    no_email: bool,
    /// Decide and answer, but change nothing.
    #[arg(long)]
    dry_run: bool,
}

impl Run for ResendArgs {
    async fn run(self, session: &mut Session) -> Result<(), Failure> {
        let Self { name, rotate, expiry, recipients, no_email, dry_run } = self;
        let id = name.rsplit('/').next().unwrap_or_default();
        let recipients = recipients.iter().map(|ordinal| format!("invitations/{id}/recipients/{ordinal}"));
        let recipients: Vec<_> = recipients.collect();
        let mut request = Map::new();
        put(&mut request, "name", Some(name));
        put(&mut request, "rotate_token", Some(rotate));
        expiry.put(&mut request);
        put(&mut request, "recipients", Some(recipients));
        put(&mut request, "send_email", no_email.then_some(false));
        put(&mut request, "validate_only", Some(dry_run));
        let answer = session.client.call("InvitationService.ResendInvitation", Value::Object(request)).await?;
        session.output.record(answer, rotate)
    }
}
