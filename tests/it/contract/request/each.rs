//! The answers of RPCs about several things.

use invitation_service::pb;
use prost::Message;

/// The results of an answer about several things, each without the name it is of.
pub(crate) fn each(path: &str, answer: &[u8]) -> Vec<Result<pb::Invitation, Box<pb::BatchError>>> {
    use pb::accept_invitations_result::Result as Accepted;
    use pb::decline_invitations_result::Result as Declined;
    if path.ends_with("/AcceptInvitations") {
        let answer = pb::AcceptInvitationsResponse::decode(answer).unwrap();
        let result = |one: pb::AcceptInvitationsResult| match one.result.unwrap() {
            Accepted::Acceptance(_) => Ok(one.invitation.unwrap()),
            Accepted::Error(error) => Err(Box::new(error)),
        };
        return answer.results.into_iter().map(result).collect();
    }
    assert!(path.ends_with("/DeclineInvitations"), "{path} has no results here");
    let answer = pb::DeclineInvitationsResponse::decode(answer).unwrap();
    let result = |one: pb::DeclineInvitationsResult| match one.result.unwrap() {
        Declined::Invitation(invitation) => Ok(invitation),
        Declined::Error(error) => Err(Box::new(error)),
    };
    answer.results.into_iter().map(result).collect()
}
