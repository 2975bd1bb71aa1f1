//! The fields that a general invitation adds to the message of all kinds.

use crate::api::convert::json::json_text;
use crate::api::resource::KindFields;
use crate::domain::invitation::Invitation;
use crate::domain::invitation::recipient::{AddressType, Recipient};
use crate::domain::kind::Scope;
use crate::domain::kind::general::{GeneralDetails, Inviter, RecipientMatch, UnfurlConfig, Usage};
use crate::pb;

impl KindFields for GeneralDetails {
    fn add_to_invitation(&self, _invitation: &Invitation, message: &mut pb::Invitation) {
        let text = |text: &Option<String>| text.clone().unwrap_or_default();
        let json = |text: &Option<String>| text.as_deref().and_then(json_text);
        let caller_data = &self.caller_data;
        message.invitation_type = match self.usage {
            Usage::SingleUse => pb::InvitationType::SingleUse,
            Usage::MultiUse => pb::InvitationType::MultiUse,
            Usage::Autojoin => pb::InvitationType::Autojoin,
        }
        .into();
        message.recipient_match = recipient_match(self.recipient_match).into();
        message.inviter = self.inviter.as_ref().map(inviter);
        message.groups = self.groups.iter().map(group).collect();
        if let Some(source) = &caller_data.source {
            message.source.clone_from(source);
        }
        message.subtype = text(&caller_data.subtype);
        message.widget_configuration_id = text(&caller_data.widget_configuration_id);
        message.deployment_id = text(&caller_data.deployment_id);
        message.project_id = text(&caller_data.project_id);
        message.attributes = json(&caller_data.attributes);
        message.configuration_attributes = json(&caller_data.configuration_attributes);
        message.metadata = json(&caller_data.metadata);
        message.template_variables.clone_from(&caller_data.template_variables);
        message.unfurl_config = caller_data.unfurl_config.as_ref().map(unfurl_config);
        message.pass_through = text(&caller_data.pass_through);
    }

    fn add_to_preview(&self, preview: &mut pb::InvitationPreview) {
        let inviter = self.inviter.as_ref().and_then(|inviter| inviter.display_name.clone());
        preview.inviter_display_name = inviter.unwrap_or_default();
        let into = self.scope.as_ref();
        preview.scope_display_name = into.and_then(|scope| scope.display_name.clone()).unwrap_or_default();
        preview.host = self.scope.clone().map(|into| pb::invitation_preview::Host::Scope(scope(into)));
        preview.metadata = self.caller_data.metadata.as_deref().and_then(json_text);
    }
}

fn recipient_match(rule: RecipientMatch) -> pb::RecipientMatch {
    match rule {
        RecipientMatch::Exact => pb::RecipientMatch::Exact,
        RecipientMatch::Domain => pb::RecipientMatch::Domain,
        RecipientMatch::Any => pb::RecipientMatch::Any,
    }
}

fn inviter(inviter: &Inviter) -> pb::Inviter {
    let email = inviter.email.as_ref().map(|email| email.original().to_owned());
    pb::Inviter {
        user_id: inviter.user_id.clone(),
        email: email.unwrap_or_default(),
        display_name: inviter.display_name.clone().unwrap_or_default(),
        avatar_uri: inviter.avatar_uri.clone().unwrap_or_default(),
    }
}

fn group(group: &Scope) -> pb::Group {
    let Scope { scope_type, id, display_name } = group.clone();
    pb::Group { r#type: scope_type, id, display_name: display_name.unwrap_or_default() }
}

/// Converts a scope.
pub(crate) fn scope(scope: Scope) -> pb::Scope {
    let Scope { scope_type, id, display_name } = scope;
    pb::Scope { r#type: scope_type, id, display_name: display_name.unwrap_or_default() }
}

/// Converts a recipient.
pub(crate) fn target(recipient: &Recipient) -> pb::Target {
    let target_type = match recipient.address.address_type() {
        AddressType::Email => pb::TargetType::Email,
        AddressType::Phone => pb::TargetType::Phone,
        AddressType::Internal => pb::TargetType::Internal,
        AddressType::Share => pb::TargetType::Share,
    };
    pb::Target {
        r#type: target_type.into(),
        value: recipient.address.original().to_owned(),
        display_name: recipient.display_name.clone().unwrap_or_default(),
        avatar_uri: recipient.avatar_uri.clone().unwrap_or_default(),
    }
}

fn unfurl_config(config: &UnfurlConfig) -> pb::UnfurlConfig {
    let UnfurlConfig { title, description, image_uri, sort, site_name } = config.clone();
    pb::UnfurlConfig { title, description, image_uri, r#type: sort, site_name }
}
