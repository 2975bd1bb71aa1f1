//! The limits as tables.

use super::*;
use crate::domain::fixtures::NOW;

fn seconds(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

fn ago(span: u64) -> Option<Timestamp> {
    Some(NOW.earlier(seconds(span)))
}

fn counted(codes: u32, since: u64) -> Counted {
    Counted { codes, since: ago(since) }
}

fn wait(asked: &Asked) -> Option<(&'static str, Duration)> {
    asked.check(NOW).err().map(|limited| (limited.limit, limited.retry_after))
}

#[test]
fn client_gets_a_code_a_minute_and_five_an_hour_for_an_address() {
    for (last, codes, since, expected) in [
        (Some(0), 1, 0, Some(60)),
        (Some(59), 1, 59, Some(1)),
        (Some(60), 1, 60, None),
        (Some(60), 4, 300, None),
        (Some(60), 5, 300, Some(3_300)),
        (Some(1_000), 5, 3_599, Some(1)),
        (Some(1), 5, 3_599, Some(59)),
        (Some(60), 5, 3_600, None),
        (Some(60), 9, 60, Some(3_540)),
        (None, 4, 30, None),
        (None, 5, 30, Some(3_570)),
    ] {
        let own = counted(codes, since);
        let asked = Asked { last: last.and_then(ago), own, address: own, ..Asked::default() };
        assert_eq!(wait(&asked), expected.map(|wait| ("codes_per_email", seconds(wait))), "{asked:?}");
    }
    assert_eq!(wait(&Asked::default()), None);
}

#[test]
fn clients_together_get_fifteen_codes_an_hour_for_an_address() {
    for (codes, since, expected) in [(14, 10, None), (15, 10, Some(3_590)), (15, 3_600, None)] {
        let asked = Asked { address: counted(codes, since), ..Asked::default() };
        assert_eq!(wait(&asked), expected.map(|wait| ("codes_per_email", seconds(wait))), "{asked:?}");
    }
}

#[test]
fn client_gets_ten_codes_an_hour_for_all_addresses() {
    for (codes, since, expected) in [(9, 10, None), (10, 10, Some(3_590)), (10, 3_600, None)] {
        // The client's own limit is told before any other.
        let asked = Asked { last: ago(1), client: counted(codes, since), ..Asked::default() };
        let expected = expected.map_or(("codes_per_email", 59), |wait| ("codes_per_client", wait));
        assert_eq!(wait(&asked), Some((expected.0, seconds(expected.1))), "{asked:?}");
    }
}

#[test]
fn hundred_addresses_that_are_not_invited_get_codes_in_an_hour() {
    for (others, address, expected) in [
        (counted(99, 10), Counted::default(), None),
        (counted(100, 10), Counted::default(), Some(3_590)),
        (counted(150, 3_599), Counted::default(), Some(1)),
        (counted(100, 10), counted(1, 60), None),
        (counted(100, 10), counted(1, 3_600), Some(3_590)),
    ] {
        let asked = Asked { others, address, ..Asked::default() };
        assert_eq!(wait(&asked), expected.map(|wait| ("emails_per_invitation", seconds(wait))), "{asked:?}");
    }
}

#[test]
fn countdown_shows_when_the_next_code_can_be_requested() {
    let with = |own, client| Asked { own, address: own, client, ..Asked::default() };
    for (asked, expected) in [
        (Asked::default(), 60),
        (with(counted(3, 300), Counted::default()), 60),
        (with(counted(4, 300), Counted::default()), 3_300),
        (with(counted(5, 3_600), Counted::default()), 60),
        (with(Counted::default(), counted(9, 600)), 3_000),
    ] {
        assert_eq!(asked.pause_after(NOW), seconds(expected), "{asked:?}");
    }
}

#[test]
fn pauses_double_from_ten_seconds_to_an_hour() {
    let pauses: Vec<u64> = pauses().map(|pause| pause.as_secs()).collect();
    assert_eq!(pauses, [10, 20, 40, 80, 160, 320, 640, 1_280, 2_560, 3_600]);
}

#[test]
fn guesses_of_a_day_are_few_for_the_number_of_codes() {
    for (form, codes) in [(CodeForm::Digits, 1e6), (CodeForm::Characters, 32_f64.powi(8))] {
        for has_client_key in [false, true] {
            let free = FreeTries::of(form, has_client_key);
            let growing = u32::try_from(pauses().count()).unwrap();
            let left = WRONG_CODES_WINDOW.as_secs() - pauses().map(|pause| pause.as_secs()).sum::<u64>();
            let in_a_day = |free: u32| free + growing + u32::try_from(left / MAX_PAUSE.as_secs()).unwrap();
            assert!(in_a_day(free.client) < free.invitation, "no client alone makes the others pause");
            let tries = in_a_day(free.invitation);
            assert!(f64::from(tries) / codes < 1e-4, "{tries} guesses a day, {form:?}");
        }
    }
}
