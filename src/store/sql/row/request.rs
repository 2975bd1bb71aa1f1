//! Remembered requests.

use data_encoding::HEXLOWER_PERMISSIVE;

use super::corrupt;
use crate::domain::command::RequestKey;
use crate::domain::group::loaded::Remembered;
use crate::domain::secret::key_ring::BodyDigest;
use crate::domain::value::id::{AcceptanceId, InvitationId};
use crate::domain::value::text::AccountId;
use crate::domain::value::time::Timestamp;
use crate::store::sql::entity::request;
use crate::store::sql::error::StoreError;

/// Reads a remembered request.
pub(in crate::store) fn request_from(row: request::Model) -> Result<(RequestKey, Remembered), StoreError> {
    let corrupt = corrupt("request", &row.invitation_id);
    let mac = HEXLOWER_PERMISSIVE.decode(row.mac.as_bytes()).ok().and_then(|mac| mac.try_into().ok());
    let mac = mac.ok_or_else(|| corrupt("mac", "is not 64 hexadecimal digits"))?;
    let key_id = u8::try_from(row.key_id).map_err(|_| corrupt("key_id", "is out of range"))?;
    let account = AccountId::parse(&row.account_id).map_err(|_| corrupt("account_id", "is not an account"))?;
    let key = RequestKey { account, method: row.method, id: row.request_id };
    let remembered = Remembered {
        digest: BodyDigest { key_id, mac },
        invitation: InvitationId(row.invitation_id),
        acceptance: row.acceptance_id.map(AcceptanceId),
        at: Timestamp::from_micros(row.created_at),
        changed: row.changed,
    };
    Ok((key, remembered))
}

/// Returns the row of a remembered request.
pub(in crate::store) fn request_row(key: &RequestKey, remembered: &Remembered) -> request::Model {
    request::Model {
        account_id: key.account.as_str().to_owned(),
        method: key.method.clone(),
        request_id: key.id.clone(),
        key_id: i32::from(remembered.digest.key_id),
        mac: remembered.digest.hex(),
        invitation_id: remembered.invitation.0,
        acceptance_id: remembered.acceptance.map(|id| id.0),
        created_at: remembered.at.micros(),
        changed: remembered.changed,
    }
}
