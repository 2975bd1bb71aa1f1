//! The look-ups of grants between organizations.

use invitation_service::store::OrganizationGrantQuery;

use super::Desk;
use crate::support::build::commands::{COMPANY, account};
use crate::support::build::kinds::HOST;

pub(super) async fn look_ups(desk: &mut Desk) {
    let query = OrganizationGrantQuery { requester: Some(COMPANY), limit: 10, ..Default::default() };
    desk.store.primary().list_organization_grants(&account(), &query).await.unwrap();
    let query = OrganizationGrantQuery { target: Some(COMPANY), limit: 10, ..Default::default() };
    desk.store.primary().list_organization_grants(&account(), &query).await.unwrap();
    desk.store.find_organization_grant(&account(), COMPANY, HOST).await.unwrap();
    desk.store.primary().get_organization_grant(&account(), COMPANY).await.unwrap();
    desk.check("organization grants").await;
}
