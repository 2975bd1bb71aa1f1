//! The reaction to an invitation that holds the place of the new one.

use super::violations::Violations;
use crate::domain::command::OnConflict;
use crate::domain::value::rule::FieldRule;
use crate::pb;

/// Parses `on_conflict`; `default` stands for an unset one. Kinds whose places are exclusive refuse ALLOW.
pub(in crate::api) fn on_conflict(violations: &mut Violations, given: i32, default: OnConflict) -> OnConflict {
    let (rule, description) = match pb::OnConflict::try_from(given) {
        Ok(pb::OnConflict::Unspecified) => return default,
        Ok(pb::OnConflict::Reject) => return OnConflict::Reject,
        Ok(pb::OnConflict::ReturnExisting) => return OnConflict::ReturnExisting,
        Ok(pb::OnConflict::Replace) => return OnConflict::Replace,
        Ok(pb::OnConflict::Allow) if default == OnConflict::Allow => return OnConflict::Allow,
        Ok(pb::OnConflict::Allow) => {
            (FieldRule::NotAllowed, "must not be ALLOW: only one such invitation can be ACTIVE")
        }
        Err(_) => (FieldRule::UnknownValue, "must be a known value"),
    };
    violations.add("on_conflict", rule, description);
    default
}
