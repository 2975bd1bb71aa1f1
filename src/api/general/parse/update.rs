//! Parses the requests that update general invitations.

use super::{MAX_TARGETS, groups, recipient_match, targets, unfurl_config, usage};
use crate::api::parse::field_mask::FieldMask;
use crate::api::parse::update::{Updated, json_update, map_update};
use crate::api::parse::violations::Violations;
use crate::api::parse::{max_uses, roles};
use crate::auth::caller::Caller;
use crate::domain::command::{Fixed, FixedField, KeptText, UpdatedFields};
use crate::domain::kind::{Kind, Scope};
use crate::domain::value::text;
use crate::pb;

const SCOPE_NAME: &str = "scope.display_name";
const PREFIX: &str = "invitation.";

impl Updated for pb::Invitation {
    const KIND: Kind = Kind::General;
    const MAX_ADDED: usize = MAX_TARGETS;
    const MAPS: &'static [&'static str] = &["attributes", "configuration_attributes", "template_variables"];

    fn archived(&self) -> Option<bool> {
        self.archived
    }

    fn own_fields(&self) -> Vec<(&'static str, bool)> {
        vec![
            ("roles", !self.roles.is_empty()),
            ("groups", !self.groups.is_empty()),
            ("max_uses", self.max_uses.is_some()),
            (SCOPE_NAME, !scope_name(self).is_empty()),
            ("attributes", self.attributes.is_some()),
            ("configuration_attributes", self.configuration_attributes.is_some()),
            ("template_variables", !self.template_variables.is_empty()),
            ("unfurl_config", self.unfurl_config.is_some()),
        ]
    }

    fn parse_own(&self, violations: &mut Violations, mask: &FieldMask, _caller: &Caller, fields: &mut UpdatedFields) {
        let at = |field: &str| format!("{PREFIX}{field}");
        fields.roles = mask.has("roles").then(|| roles(violations, &at("roles"), &self.roles));
        fields.groups = mask.has("groups").then(|| groups(violations, &at("groups"), &self.groups));
        fields.max_uses = mask.has("max_uses").then(|| max_uses(violations, &at("max_uses"), self.max_uses));
        fields.scope_display_name =
            mask.has(SCOPE_NAME).then(|| violations.optional(&at(SCOPE_NAME), scope_name(self), text::free_text));
        fields.attributes = json_update(violations, mask, (PREFIX, "attributes"), self.attributes.as_ref());
        let configuration = self.configuration_attributes.as_ref();
        fields.configuration_attributes =
            json_update(violations, mask, (PREFIX, "configuration_attributes"), configuration);
        let variables = (PREFIX, "template_variables");
        fields.template_variables = map_update(violations, mask, variables, &self.template_variables, text::variable);
        fields.unfurl_config = mask
            .has("unfurl_config")
            .then(|| self.unfurl_config.as_ref().map(|given| unfurl_config(violations, &at("unfurl_config"), given)));
    }

    fn fixed(&self, violations: &mut Violations) -> Vec<FixedField> {
        let mut fixed = kept(violations, self);
        let mut add = |path, value: Option<Fixed>| fixed.extend(value.map(|value| FixedField { path, value }));
        // An address that was erased is shown without its value.
        let erased = i32::from(pb::TargetType::Erased);
        let given: Vec<_> = self.targets.iter().filter(|target| target.r#type != erased).cloned().collect();
        let addresses = targets(violations, "invitation.targets", &given, MAX_TARGETS);
        let addresses = addresses.into_iter().map(|target| target.address).collect();
        add("invitation.targets", (!given.is_empty()).then_some(Fixed::Recipients(addresses)));
        let scope = self.scope.as_ref().filter(|scope| !scope.r#type.is_empty() || !scope.id.is_empty());
        // The name of the scope can be updated, and is parsed there.
        let scope = scope.map(|given| {
            let mut part =
                |path: &str, value: &str| violations.optional(path, value, text::opaque_id).unwrap_or_default();
            let scope_type = part("invitation.scope.type", &given.r#type);
            Fixed::Scope(Scope::new(&scope_type, part("invitation.scope.id", &given.id)))
        });
        add("invitation.scope", scope);
        let is_set = self.invitation_type != 0;
        let kept_usage = is_set.then(|| {
            let autojoin = i32::from(pb::InvitationType::Autojoin);
            if self.invitation_type == autojoin {
                return Fixed::Usage(crate::domain::kind::general::Usage::Autojoin);
            }
            Fixed::Usage(usage(violations, "invitation.invitation_type", self.invitation_type))
        });
        add("invitation.invitation_type", kept_usage);
        let is_set = self.recipient_match != 0;
        let rule = is_set.then(|| recipient_match(violations, "invitation.recipient_match", self.recipient_match));
        add("invitation.recipient_match", rule.map(Fixed::RecipientMatch));
        fixed
    }
}

fn scope_name(given: &pb::Invitation) -> &str {
    given.scope.as_ref().map(|scope| scope.display_name.as_str()).unwrap_or_default()
}

/// Returns the texts that their creator keeps in the invitation.
fn kept(violations: &mut Violations, given: &pb::Invitation) -> Vec<FixedField> {
    let texts = [
        ("invitation.source", &given.source, KeptText::Source),
        ("invitation.subtype", &given.subtype, KeptText::Subtype),
        ("invitation.widget_configuration_id", &given.widget_configuration_id, KeptText::WidgetConfigurationId),
        ("invitation.deployment_id", &given.deployment_id, KeptText::DeploymentId),
        ("invitation.project_id", &given.project_id, KeptText::ProjectId),
        ("invitation.pass_through", &given.pass_through, KeptText::PassThrough),
    ];
    let kept = texts.into_iter().filter_map(|(path, value, text)| {
        let value = violations.optional(path, value, text::pass_through)?;
        Some(FixedField { path, value: Fixed::Kept(text, value) })
    });
    kept.collect()
}
