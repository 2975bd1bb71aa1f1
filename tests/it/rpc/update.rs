//! The updates of every kind by one command.

pub(crate) mod calls;
pub(crate) mod fields;
pub(crate) mod recipients;

use invitation_service::pb;

/// A mask of some paths.
pub(crate) fn mask(paths: &[&str]) -> Option<prost_types::FieldMask> {
    let paths: Vec<String> = paths.iter().map(|path| (*path).to_owned()).collect();
    (!paths.is_empty()).then_some(prost_types::FieldMask { paths })
}

/// A request to update a user invitation.
pub(crate) fn of_user(user: pb::UserInvitation, paths: &[&str]) -> pb::UpdateUserInvitationRequest {
    pb::UpdateUserInvitationRequest { user_invitation: Some(user), update_mask: mask(paths), ..Default::default() }
}

/// A request to update a connection invitation.
pub(crate) fn of_connection(
    connection: pb::ConnectionInvitation,
    paths: &[&str],
) -> pb::UpdateConnectionInvitationRequest {
    let (connection_invitation, update_mask) = (Some(connection), mask(paths));
    pb::UpdateConnectionInvitationRequest { connection_invitation, update_mask, ..Default::default() }
}

/// A request to update a general invitation.
pub(crate) fn of_general(invitation: pb::Invitation, paths: &[&str]) -> pb::UpdateInvitationRequest {
    pb::UpdateInvitationRequest { invitation: Some(invitation), update_mask: mask(paths), ..Default::default() }
}

/// The name of a recipient.
pub(crate) fn recipient(name: &str, ordinal: u16) -> String {
    let uid = name.rsplit('/').next().unwrap();
    format!("invitations/{uid}/recipients/{ordinal}")
}
