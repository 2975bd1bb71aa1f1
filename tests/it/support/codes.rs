//! Verification codes, derived as the mail that brings one is.

use invitation_service::domain::secret::key_ring::KeyRing;
use invitation_service::domain::secret::verification::{Verification, address_keys};
use invitation_service::domain::value::email::Email;
use invitation_service::domain::value::id::InvitationId;
use invitation_service::domain::value::text::AccountId;
use sea_orm::{ConnectionTrait, DatabaseConnection, QueryResult, Statement};

/// The code that an address can prove itself with, by the keys of the service; none if none was asked for. It is derived for
/// whatever address, mailed or not.
pub(crate) async fn code_of(database: &DatabaseConnection, keys: &str, email: &str) -> Option<String> {
    let (ring, email) = (KeyRing::parse(keys).unwrap(), Email::parse(email).unwrap());
    let sql = "SELECT account_id, invitation_id, id, key_id, address_mac FROM verification";
    let rows = database.query_all_raw(Statement::from_string(database.get_database_backend(), sql)).await.unwrap();
    let of = |row: &QueryResult| {
        let key_id: i32 = row.try_get("", "key_id").unwrap();
        let verification = Verification {
            account: AccountId::parse(&row.try_get::<String>("", "account_id").unwrap()).unwrap(),
            invitation: InvitationId(row.try_get("", "invitation_id").unwrap()),
            id: row.try_get("", "id").unwrap(),
            key_id: u8::try_from(key_id).unwrap(),
        };
        let keys = address_keys(&ring, &verification.account, verification.invitation, &email);
        let is_its = keys.contains(&row.try_get::<String>("", "address_mac").unwrap());
        is_its.then(|| verification.code(&ring, &email).unwrap().reveal())
    };
    rows.iter().find_map(of)
}
