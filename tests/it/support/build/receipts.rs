//! Receipts as the page of an invitation issues them.

use std::time::Duration;

use invitation_service::domain::secret::key_ring::KeyRing;
use invitation_service::domain::secret::receipt::{Answer, Receipt};
use invitation_service::domain::value::id::InvitationId;
use invitation_service::domain::value::text::AccountId;

use crate::support::database::NEW_YEAR;
use crate::support::service::KEYS;

/// A receipt that is not sealed yet.
pub(crate) struct Draft(pub(crate) Receipt);

/// A receipt of an invitation by its UUID, that ends an hour after New Year; of nobody's address if that is empty.
pub(crate) fn of(uid: &str, answer: Answer, email: &str) -> Draft {
    let email = Some(email.to_owned()).filter(|email| !email.is_empty());
    let expire_at = NEW_YEAR.later(Duration::from_secs(3_600));
    Draft(Receipt { invitation: InvitationId(uid.parse().unwrap()), answer, email, expire_at })
}

impl Draft {
    /// The text of the receipt for an account.
    pub(crate) fn sealed_for(&self, account: &str) -> String {
        let account = AccountId::parse(account).unwrap();
        self.0.seal(&KeyRing::parse(KEYS).unwrap(), &account, [7; 24]).unwrap()
    }
}
