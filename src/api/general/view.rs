//! The views of a list (AIP-157): how much of each invitation it shows.

use tonic::Status;

use super::convert_invitation::invitation;
use crate::api::execute::{Api, Call};
use crate::api::parse::invitation_filter::BASIC_TARGETS;
use crate::api::resource::Identity;
use crate::domain::invitation::Invitation;
use crate::pb;
use crate::store::Read;

impl Api {
    /// Shows an invitation of a list in a view.
    pub(in crate::api) fn viewed(
        &self,
        call: &Call,
        read: &Read<Invitation>,
        view: pb::InvitationView,
    ) -> Result<pb::Invitation, Status> {
        match view {
            pb::InvitationView::Full => self.resource(call, &read.found, read.now),
            pb::InvitationView::Unspecified | pb::InvitationView::Basic => Ok(basic(read)),
        }
    }
}

pub(super) fn basic(read: &Read<Invitation>) -> pb::Invitation {
    let found = &read.found;
    let token_visibility = pb::TokenVisibility::BasicView;
    let identity = Identity { etag: found.etag(), token_visibility, ..Identity::of(found) };
    let mut shown = invitation(found, &[], read.now, identity);
    // One more was read where it says whether addresses bind the invitation.
    shown.targets.truncate(BASIC_TARGETS as usize);
    pb::Invitation {
        metadata: None,
        attributes: None,
        configuration_attributes: None,
        template_variables: Default::default(),
        unfurl_config: None,
        pass_through: String::new(),
        ..shown
    }
}
