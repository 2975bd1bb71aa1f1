//! Values that every template is tried with.

use crate::pages::view::{FormError, View};
use crate::pb;

/// Everything known with each error, and nothing known.
pub(super) fn all() -> [View; 6] {
    let full = |error| View { error, ..full() };
    [
        full(None),
        full(Some(FormError::EmailInvalid)),
        full(Some(FormError::CodeInvalid)),
        full(Some(FormError::TooMany)),
        full(Some(FormError::EmailNotAllowed)),
        View { visit: "sample".to_owned(), ..View::default() },
    ]
}

/// Everything, with names that would be markup.
fn full() -> View {
    let hostile = "<b>\"O'Neil\"</b> & Co. {{ 1 }}".to_owned();
    let scope = || pb::Scope { display_name: hostile.clone(), ..pb::Scope::default() };
    let preview = pb::InvitationPreview {
        kind: pb::InvitationKind::General.into(),
        scope: Some(scope()),
        groups: vec![scope(), scope()],
        roles: vec!["admin".to_owned()],
        inviter: Some(pb::Inviter { display_name: hostile.clone(), ..pb::Inviter::default() }),
        parent_organization_name: hostile.clone(),
        message: hostile.clone(),
        expire_time: Some(prost_types::Timestamp { seconds: 1_798_707_900, nanos: 0 }),
        declinable: true,
        masked_emails: vec!["a***@example.org".to_owned()],
        existing_user: Some(true),
        unfurl_config: Some(pb::UnfurlConfig {
            title: hostile.clone(),
            description: hostile.clone(),
            image_uri: "https://app.example/a.png".to_owned(),
            r#type: "website".to_owned(),
            site_name: hostile.clone(),
        }),
        ..pb::InvitationPreview::default()
    };
    View {
        error: None,
        wait: 2,
        visit: "sample".to_owned(),
        email: "ann@example.org".to_owned(),
        next: "https://app.example/welcome?receipt=sample".to_owned(),
        again: true,
        forwards: true,
        preview: Some(preview),
    }
}
