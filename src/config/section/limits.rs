//! Section `[limits]`: how many people may be invited, how often links may be tried in vain, how often a person may call, and how
//! many API keys there may be.

use std::num::NonZeroU32;
use std::ops::RangeInclusive;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::config::error::{Checked, Problems};
use crate::config::value;
use crate::domain::delivery::repeats::ResendLimits;

/// The word for no limit.
pub(in crate::config) const OFF: &str = "off";

const MOST: u32 = 100_000_000;
const PER: RangeInclusive<Duration> = Duration::from_secs(1)..=Duration::from_secs(86_400);
const PER_DAY: RangeInclusive<u16> = 1..=100;
const INTERVAL: RangeInclusive<Duration> = Duration::ZERO..=Duration::from_secs(86_400);

/// A rate: so many at once, and as many again in a time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rate {
    /// The most at once.
    pub most: NonZeroU32,
    /// The time in which as many are there again.
    pub per: Duration,
}

/// The limits; `None` is no limit.
#[derive(Clone, Copy, Debug)]
pub struct LimitsConfig {
    /// The invitees of one credential.
    pub invitations_per_key: Option<Rate>,
    /// The invitees of one account.
    pub invitations_per_account: Option<Rate>,
    /// The look-ups of tokens by one credential that find nothing.
    pub failed_lookups_per_key: Option<Rate>,
    /// The calls of one person who calls as themselves.
    pub calls_per_person: Option<Rate>,
    /// The API keys of an account that are in force.
    pub api_keys_per_account: Option<u32>,
    /// The invitees of an account's open invitations.
    pub open_invitations_per_account: Option<u32>,
    /// The invitees of one inviter in a day.
    pub invitations_per_inviter_per_day: Option<u32>,
    /// The messages with a link to one address in a day, from all accounts.
    pub mails_per_recipient_per_day: Option<u32>,
    /// The limits on mailing one invitation again.
    pub resends: ResendLimits,
}

#[derive(Default, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub(in crate::config) struct RawLimits {
    invitations_per_key: String,
    invitations_per_account: String,
    failed_lookups_per_key: String,
    calls_per_person: String,
    api_keys_per_account: String,
    open_invitations_per_account: String,
    invitations_per_inviter_per_day: String,
    mails_per_recipient_per_day: String,
    resends_per_invitation_per_day: String,
    resend_interval: String,
}

impl RawLimits {
    pub(in crate::config) fn validate(self, problems: &mut Problems) -> Checked<LimitsConfig> {
        let per_key = rate(problems, "limits.invitations_per_key", &self.invitations_per_key);
        let per_account = rate(problems, "limits.invitations_per_account", &self.invitations_per_account);
        let failed_lookups = rate(problems, "limits.failed_lookups_per_key", &self.failed_lookups_per_key);
        let per_person = rate(problems, "limits.calls_per_person", &self.calls_per_person);
        let api_keys = number(problems, "limits.api_keys_per_account", &self.api_keys_per_account);
        let open = number(problems, "limits.open_invitations_per_account", &self.open_invitations_per_account);
        let per_inviter =
            number(problems, "limits.invitations_per_inviter_per_day", &self.invitations_per_inviter_per_day);
        let per_recipient = number(problems, "limits.mails_per_recipient_per_day", &self.mails_per_recipient_per_day);
        let field = "limits.resends_per_invitation_per_day";
        let per_day = value::number(problems, field, &self.resends_per_invitation_per_day, PER_DAY);
        let min_interval = value::duration(problems, "limits.resend_interval", &self.resend_interval, INTERVAL);
        Ok(LimitsConfig {
            invitations_per_key: per_key?,
            invitations_per_account: per_account?,
            failed_lookups_per_key: failed_lookups?,
            calls_per_person: per_person?,
            api_keys_per_account: api_keys?,
            open_invitations_per_account: open?,
            invitations_per_inviter_per_day: per_inviter?,
            mails_per_recipient_per_day: per_recipient?,
            resends: ResendLimits { per_day: per_day?, min_interval: min_interval? },
        })
    }
}

fn number(problems: &mut Problems, field: &str, text: &str) -> Checked<Option<u32>> {
    if text == OFF { Ok(None) } else { value::number(problems, field, text, 1..=MOST).map(Some) }
}

pub(in crate::config) fn rate(problems: &mut Problems, field: &str, text: &str) -> Checked<Option<Rate>> {
    if text == OFF {
        return Ok(None);
    }
    let parse = |text: &str| {
        let (most, per) = text.split_once(" per ")?;
        let most = most.parse().ok().filter(|most: &NonZeroU32| most.get() <= MOST)?;
        let per = value::parse_duration(per).ok().filter(|per| PER.contains(per))?;
        Some(Rate { most, per })
    };
    let expected =
        format!("must be off, or a number from 1 to {MOST} and a time from 1s to 1d, such as \"600 per 1m\"");
    problems.check(field, parse(text).ok_or(expected)).map(Some)
}
