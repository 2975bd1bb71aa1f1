//! The fields that a general invitation adds to the message of all kinds.

use crate::api::convert::json::json_text;
use crate::api::resource::KindFields;
use crate::domain::invitation::Invitation;
use crate::domain::invitation::email_rule::Binding;
use crate::domain::invitation::recipient::{AddressType, Recipient};
use crate::domain::kind::KindRules;
use crate::domain::kind::general::{GeneralDetails, RecipientMatch, UnfurlConfig, Usage};
use crate::pb;

impl KindFields for GeneralDetails {
    fn add_to_invitation(&self, invitation: &Invitation, message: &mut pb::Invitation) {
        let text = |text: &Option<String>| text.clone().unwrap_or_default();
        let json = |text: &Option<String>| text.as_deref().and_then(json_text);
        let caller_data = &self.caller_data;
        message.invitation_type = match self.usage {
            Usage::SingleUse => pb::InvitationType::SingleUse,
            Usage::MultiUse => pb::InvitationType::MultiUse,
            Usage::Autojoin => pb::InvitationType::Autojoin,
        }
        .into();
        if matches!(self.binding(&invitation.recipients), Binding::Recipients(_)) {
            message.recipient_match = recipient_match(self.recipient_match).into();
        }
        if let Some(source) = &caller_data.source {
            message.source.clone_from(source);
        }
        message.subtype = text(&caller_data.subtype);
        message.widget_configuration_id = text(&caller_data.widget_configuration_id);
        message.deployment_id = text(&caller_data.deployment_id);
        message.project_id = text(&caller_data.project_id);
        message.attributes = json(&caller_data.attributes);
        message.configuration_attributes = json(&caller_data.configuration_attributes);
        message.template_variables.clone_from(&caller_data.template_variables);
        message.unfurl_config = caller_data.unfurl_config.as_ref().map(unfurl_config);
        message.pass_through = text(&caller_data.pass_through);
    }

    fn add_to_preview(&self, preview: &mut pb::InvitationPreview) {
        preview.unfurl_config = self.caller_data.unfurl_config.as_ref().map(unfurl_config);
    }
}

fn recipient_match(rule: RecipientMatch) -> pb::RecipientMatch {
    match rule {
        RecipientMatch::Exact => pb::RecipientMatch::Exact,
        RecipientMatch::Domain => pb::RecipientMatch::Domain,
        RecipientMatch::Any => pb::RecipientMatch::Any,
    }
}

/// Converts a type of address.
pub(super) fn target_type(address_type: AddressType) -> pb::TargetType {
    match address_type {
        AddressType::Email => pb::TargetType::Email,
        AddressType::Phone => pb::TargetType::Phone,
        AddressType::Internal => pb::TargetType::Internal,
        AddressType::Share => pb::TargetType::Share,
        AddressType::Erased | AddressType::Removed => pb::TargetType::Erased,
    }
}

/// Converts a recipient.
pub(crate) fn target(recipient: &Recipient) -> pb::Target {
    pb::Target {
        r#type: target_type(recipient.address.address_type()).into(),
        value: recipient.address.original().to_owned(),
        display_name: recipient.display_name.clone().unwrap_or_default(),
        avatar_uri: recipient.avatar_uri.clone().unwrap_or_default(),
        existing_user: recipient.existing_user,
    }
}

fn unfurl_config(config: &UnfurlConfig) -> pb::UnfurlConfig {
    let UnfurlConfig { title, description, image_uri, sort, site_name } = config.clone();
    pb::UnfurlConfig { title, description, image_uri, r#type: sort, site_name }
}
