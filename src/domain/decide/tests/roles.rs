//! The roles that a command may give.

use crate::domain::command::{Action, Command, ExpiryTime, UpdatedFields};
use crate::domain::decide::tests::run_on;
use crate::domain::fixtures::{
    accept, acceptor, at, command, creation, early, engage, general, invitation, loaded, resend, revoke, set,
    set_expiry, set_recipients, ttl,
};
use crate::domain::invitation::refusal::Refusal;
use crate::domain::invitation::{EngagementType, Invitation};
use crate::domain::kind::Details;
use crate::domain::kind::general::{GeneralDetails, Usage};
use crate::domain::value::grantable_roles::GrantableRoles;

/// Returns the refusal of an action of a caller who may give the role `editor` alone.
fn refusal(invitation: &Invitation, action: Action) -> Option<Refusal> {
    let grantable_roles = GrantableRoles { of_account: Some(["editor".to_owned()].into()), of_credential: None };
    run_on(&loaded(invitation, &[]), &Command { grantable_roles, ..command(1, action) }).err()
}

/// Returns an invitation that gives a role to whoever has its link.
fn giving(role: &str) -> Invitation {
    let details = GeneralDetails { roles: vec![role.to_owned()], ..general(Usage::MultiUse) };
    Invitation { details: Details::General(Box::new(details)), ..invitation(0, None) }
}

#[test]
fn role_beyond_the_callers_is_given_by_no_command() {
    for (role, refused) in [("editor", None), ("owner", Some(Refusal::RoleNotGrantable("owner".to_owned())))] {
        let invitation = giving(role);
        let link = invitation.claims(0);
        let creation = Action::Create(Box::new(creation(invitation.details.clone(), &[])));
        assert_eq!(refusal(&giving("editor"), creation), refused);
        assert_eq!(refusal(&invitation, accept(link, acceptor("ann"))), refused);
        assert_eq!(refusal(&invitation, resend(&invitation, false, Some(ttl(5)))), refused);
        assert_eq!(refusal(&invitation, set_expiry(&invitation, ExpiryTime::After(ttl(5)))), refused);
        assert_eq!(refusal(&invitation, set_recipients(&invitation, &[at("ann@example.org")], &[], false)), refused);
        let roles = UpdatedFields { roles: Some(vec![role.to_owned()]), ..UpdatedFields::default() };
        assert_eq!(refusal(&giving("viewer"), set(&giving("viewer"), roles)), refused);
        let message = UpdatedFields { message: Some(Some("Hello".to_owned())), ..UpdatedFields::default() };
        assert_eq!(refusal(&invitation, set(&invitation, message)), None, "it gives nothing to anybody");
        assert_eq!(refusal(&invitation, revoke(&invitation)), None);
        assert_eq!(refusal(&invitation, engage(link, EngagementType::View)), None);
    }
}

#[test]
fn role_that_was_given_before_is_answered_again() {
    let invitation = giving("owner");
    let given = early(&invitation);
    let again = accept(invitation.claims(0), acceptor(&given.subject.0));
    let grantable_roles = GrantableRoles { of_account: Some([].into()), of_credential: None };
    let decided = run_on(&loaded(&invitation, &[given]), &Command { grantable_roles, ..command(1, again) }).unwrap();
    assert!(decided.affected.already_accepted);
}
