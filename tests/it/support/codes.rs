//! Verification codes, derived as the mail that brings one is.

use invitation_service::domain::invitation::Invitation;
use invitation_service::domain::secret::key_ring::KeyRing;
use invitation_service::domain::secret::verification::{CodeForm, Verification, address_keys};
use invitation_service::domain::value::email::Email;
use invitation_service::domain::value::id::InvitationId;
use invitation_service::domain::value::text::AccountId;
use invitation_service::store::NewVerification;
use sea_orm::{ConnectionTrait, DatabaseConnection, QueryResult, Statement};
use uuid::Uuid;

/// The newest code that an address can prove itself with, by the keys of the service; none if none was asked for. It is derived
/// for whatever address, mailed or not.
pub(crate) async fn code_of(database: &DatabaseConnection, keys: &str, email: &str) -> Option<String> {
    let (ring, email) = (KeyRing::parse(keys).unwrap(), Email::parse(email).unwrap());
    let sql =
        "SELECT account_id, invitation_id, id, key_id, length, address_mac FROM verification ORDER BY created_at DESC";
    let rows = database.query_all_raw(Statement::from_string(database.get_database_backend(), sql)).await.unwrap();
    let of = |row: &QueryResult| {
        let key_id: i32 = row.try_get("", "key_id").unwrap();
        let verification = Verification {
            account: AccountId::parse(&row.try_get::<String>("", "account_id").unwrap()).unwrap(),
            invitation: InvitationId(row.try_get("", "invitation_id").unwrap()),
            id: row.try_get("", "id").unwrap(),
            key_id: u8::try_from(key_id).unwrap(),
            form: CodeForm::of_length(row.try_get("", "length").unwrap()).unwrap(),
        };
        let keys = address_keys(&ring, &verification.account, verification.invitation, &email);
        let is_its = keys.contains(&row.try_get::<String>("", "address_mac").unwrap());
        is_its.then(|| verification.code(&ring, &email).unwrap().reveal())
    };
    rows.iter().find_map(of)
}

/// The values of a code of six digits.
pub(crate) fn verification(invitation: &Invitation, id: Uuid) -> Verification {
    let account = invitation.account.clone();
    Verification { account, invitation: invitation.id, id, key_id: 7, form: CodeForm::Digits }
}

/// A code that nobody is mailed, requested by one client for an address that is not invited.
pub(crate) fn requested(verification: &Verification, address_key: &str, client_key: &str) -> NewVerification {
    NewVerification {
        verification: verification.clone(),
        address_key: address_key.to_owned(),
        client_key: client_key.to_owned(),
        limits_client: true,
        invited: false,
        limits_others: false,
        message: None,
    }
}
