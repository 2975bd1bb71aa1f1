//! The steps about API keys.

use invitation_service::domain::api_key::{ApiKeyRecord, Powers};
use invitation_service::store::{ApiKeyName, ApiKeyQuery, WriteOnce};
use sha2::{Digest as _, Sha256};
use uuid::Uuid;

use super::Desk;
use crate::support::build::commands::{COMPANY, account};
use crate::support::database::NEW_YEAR;

fn stored_key(id: Uuid, key_id: &str) -> ApiKeyRecord {
    ApiKeyRecord {
        id,
        key_id: key_id.to_owned(),
        display_name: String::new(),
        hash: Sha256::digest(id.as_bytes()).into(),
        powers: Powers::default(),
        organization: Some(COMPANY),
        revoked_at: None,
        last_used_at: None,
        revision: 1,
        creator: "tester".to_owned(),
        created_at: NEW_YEAR,
        updated_at: NEW_YEAR,
    }
}

pub(super) async fn steps(desk: &mut Desk) {
    let (account, once, id) = (account(), WriteOnce::default(), format!("key-{}", desk.round));
    let name = |key_id| ApiKeyName { account: &account, key_id, within: None };
    let key = stored_key(desk.seed().nth(1), &id);
    desk.store.create_api_key(&account, &key, &once, Some(1_000)).await.unwrap();
    desk.check("create an API key").await;
    let after = desk.store.last_api_key_change().await.unwrap();
    desk.store.change_api_key(name(&id), &once, None, |key| key.revoke(None, NEW_YEAR)).await.unwrap();
    desk.check("revoke an API key").await;
    for organization in [None, Some(COMPANY)] {
        let query = ApiKeyQuery { organization, limit: 10, ..Default::default() };
        desk.store.primary().list_api_keys(&account, &query).await.unwrap();
    }
    desk.store.primary().get_api_key(name(&id)).await.unwrap().unwrap();
    desk.store.primary().count_api_keys(&account, NEW_YEAR).await.unwrap();
    desk.check("read API keys").await;
    assert_eq!(desk.store.changed_api_keys(after, 10).await.unwrap().keys.len(), 1);
    let hashes: Vec<_> = (0..40).map(|number| [number; 32]).chain([key.hash]).collect();
    assert_eq!(desk.store.find_api_keys(&hashes).await.unwrap().len(), 1);
    desk.store.note_api_key_uses(&hashes, NEW_YEAR).await.unwrap();
    desk.check("follow API keys").await;
}
