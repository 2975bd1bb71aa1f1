//! Section `[notices]`: what inviters are told about.

use serde::{Deserialize, Serialize};

use crate::config::error::{Checked, Problems};
use crate::config::value;
use crate::domain::delivery::notice::Notices;

#[derive(Default, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub(in crate::config) struct RawNotices {
    accepted: String,
    declined: String,
    failed: String,
    expired: String,
}

impl RawNotices {
    pub(in crate::config) fn validate(self, problems: &mut Problems) -> Checked<Notices> {
        let RawNotices { accepted, declined, failed, expired } = self;
        let choices = [("true", true), ("false", false)];
        let mut choice = |key: &str, text: &str| value::choice(problems, &format!("notices.{key}"), text, &choices);
        let (accepted, declined) = (choice("accepted", &accepted), choice("declined", &declined));
        let (failed, expired) = (choice("failed", &failed), choice("expired", &expired));
        Ok(Notices { accepted: accepted?, declined: declined?, failed: failed?, expired: expired? })
    }
}
