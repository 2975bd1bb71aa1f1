//! The section `[limits]`.

use super::*;
use crate::domain::delivery::repeats::ResendLimits;

#[test]
fn invitations_are_not_limited_unless_it_is_set() {
    let limits = load(&[]).unwrap().limits;
    let per_person = limits.calls_per_person.unwrap();
    assert_eq!((per_person.most.get(), per_person.per), (50, Duration::from_secs(5)));
    assert_eq!(limits.api_keys_per_account, Some(1_000));
    assert_eq!((limits.invitations_per_key, limits.failed_lookups_per_key), (None, None));
    assert_eq!((limits.open_invitations_per_account, limits.mails_per_recipient_per_day), (None, None));
    assert_eq!(limits.resends, ResendLimits::DEFAULT);
    let file =
        "[limits]\ninvitations_per_key = \"600 per 1m\"\nmails_per_recipient_per_day = 5\nresend_interval = \"0s\"\n";
    let config = load_file(file, &[]).unwrap();
    let rate = config.limits.invitations_per_key.unwrap();
    assert_eq!((rate.most.get(), rate.per), (600, Duration::from_secs(60)));
    assert_eq!(
        (config.limits.mails_per_recipient_per_day, config.limits.resends.min_interval),
        (Some(5), Duration::ZERO)
    );
    assert!(config.redacted().contains("invitations_per_key = \"600 per 60s\""), "{}", config.redacted());
}
