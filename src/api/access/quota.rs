//! `AccessService.GetQuota`: what is left of the limits.

use std::time::Duration;

use tonic::Status;

use crate::api::convert::timestamp;
use crate::api::execute::Api;
use crate::auth::caller::Caller;
use crate::domain::quota::{
    API_KEYS, DAY, OPEN_INVITATIONS, PER_INVITER, PER_RECIPIENT, QuotaKey, credential_key, day_of, open_key, user_key,
};
use crate::domain::value::time::Timestamp;
use crate::pb;
use crate::server::admission::keyed_rate::RateLeft;

/// The limit on mailing one invitation again.
const RESENDS: &str = "resends_per_invitation";

/// Returns the limits for a caller; of the inviter with an id, or of the credential.
pub(super) async fn quota(api: &Api, caller: &Caller, inviter: Option<&str>) -> Result<pb::Quota, Status> {
    let open = api.quotas.open_invitations.map(|limit| (limit, open_key(&caller.account)));
    let per_inviter = api.quotas.per_inviter.map(|limit| (limit, inviter_key(caller, inviter)));
    let keys: Vec<QuotaKey> = open.iter().chain(&per_inviter).map(|(_, key)| key.clone()).collect();
    let loaded =
        if keys.is_empty() { None } else { Some(api.read(api.store.read_quotas(&caller.account, &keys)).await?) };
    let now = loaded.as_ref().map_or_else(|| api.clock.now(), |loaded| loaded.now);
    let (day, whole) = (day_of(now), Timestamp::from_micros(0));
    let used = |key: &QuotaKey, period| {
        let count = loaded.as_ref().map(|loaded| loaded.quota(key, period));
        count.map_or(0, |count| count.used - count.lapsed)
    };

    let api_keys = match api.max_api_keys {
        Some(limit) => {
            let used = api.read(api.store.primary().count_api_keys(&caller.account, now)).await?;
            Some(of(API_KEYS, limit.into(), Some(i64::try_from(used).unwrap_or(i64::MAX)), None))
        }
        None => None,
    };
    let mut limits: Vec<_> = api.rates.left(caller).into_iter().map(|left| of_rate(left, api.clock.now())).collect();
    limits.extend(open.map(|(limit, key)| of(OPEN_INVITATIONS, limit.into(), Some(used(&key, whole)), None)));
    limits.extend(per_inviter.map(|(limit, key)| {
        let reset_time = Some(timestamp(day.later(DAY)));
        pb::QuotaLimit { reset_time, ..of(PER_INVITER, limit.into(), Some(used(&key, day)), Some(DAY)) }
    }));
    let per_recipient = api.quotas.per_recipient.as_ref();
    limits.extend(per_recipient.map(|quota| of(PER_RECIPIENT, quota.limit.into(), None, Some(DAY))));
    limits.extend(api_keys);
    limits.push(of(RESENDS, api.quotas.resends.per_day.into(), None, Some(DAY)));
    Ok(pb::Quota { limits })
}

fn inviter_key(caller: &Caller, inviter: Option<&str>) -> QuotaKey {
    match inviter {
        Some(user_id) => user_key(&caller.account, user_id),
        None => credential_key(&caller.account, &caller.name),
    }
}

fn of(name: &str, max: i64, used: Option<i64>, period: Option<Duration>) -> pb::QuotaLimit {
    pb::QuotaLimit {
        limit: name.to_owned(),
        max,
        used: used.map(|used| used.max(0)),
        remaining: used.map(|used| (max - used).clamp(0, max)),
        period: period.and_then(|period| period.try_into().ok()),
        reset_time: None,
        per_server: false,
    }
}

fn of_rate(left: RateLeft, now: Timestamp) -> pb::QuotaLimit {
    let RateLeft { name, rate, used, reset_after } = left;
    let reset_time = (used > 0).then(|| timestamp(now.later(reset_after)));
    let limit = of(name, rate.most.get().into(), Some(used.into()), Some(rate.per));
    pb::QuotaLimit { reset_time, per_server: true, ..limit }
}
