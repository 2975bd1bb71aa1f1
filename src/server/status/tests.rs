//! The table of codes agrees with the numbers of the reasons, and the types of resources with their names.

use super::*;

#[test]
fn hundreds_of_a_reason_are_its_code() {
    let reasons: Vec<_> = (1..=999).filter_map(|number| ErrorReason::try_from(number).ok()).collect();
    assert!(reasons.len() > 35, "{reasons:?}");
    for reason in reasons {
        let fits = match i32::from(reason) / 100 {
            1 => code(reason) == Code::InvalidArgument,
            2 => code(reason) == Code::NotFound,
            3 => code(reason) == Code::AlreadyExists,
            4 => code(reason) == Code::FailedPrecondition,
            5 => matches!(code(reason), Code::PermissionDenied | Code::Unauthenticated),
            6 => code(reason) == Code::ResourceExhausted,
            7 => code(reason) == Code::Aborted,
            8 => code(reason) == Code::OutOfRange,
            9 => matches!(
                code(reason),
                Code::Unavailable
                    | Code::DeadlineExceeded
                    | Code::Cancelled
                    | Code::Unimplemented
                    | Code::Internal
                    | Code::DataLoss
                    | Code::Unknown
            ),
            _ => false,
        };
        assert!(fits, "{reason:?} = {} is {:?}", i32::from(reason), code(reason));
    }
}

#[test]
fn type_of_a_resource_follows_from_its_name() {
    for (name, resource_type) in [
        ("invitations/1", "Invitation"),
        ("connectionInvitations/1", "ConnectionInvitation"),
        ("userInvitations/1", "UserInvitation"),
        ("guestInvitations/1", "GuestInvitation"),
        ("invitations/1/acceptances/2", "Acceptance"),
        ("organizationGrants/1", "OrganizationGrant"),
        ("apiKeys/1", "ApiKey"),
        ("webhookEndpoints/1", "WebhookEndpoint"),
        ("suppressions/1", "Suppression"),
        ("webhookEndpoints/1/attempts/2", "WebhookAttempt"),
    ] {
        assert_eq!(resource::resource_type(name), format!("invitation.v1/{resource_type}"));
    }
}
