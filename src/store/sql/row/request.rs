//! Remembered requests.

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
    let mut mac = [0; 32];
    for (byte, hex) in mac.iter_mut().zip(row.mac.as_bytes().chunks(2)) {
        let hex = std::str::from_utf8(hex).unwrap_or_default();
        *byte = u8::from_str_radix(hex, 16).map_err(|_| corrupt("mac", "is no hexadecimal number"))?;
    }
    let key_id = u8::try_from(row.key_id).map_err(|_| corrupt("key_id", "is out of range"))?;
    let account = AccountId::parse(&row.account_id).map_err(|_| corrupt("account_id", "is no account"))?;
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

/// The row of a remembered request.
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
