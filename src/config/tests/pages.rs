//! The section `[pages]`, and what it needs of others.

use super::*;

/// A listener of pages, and their key.
pub(super) const PAGES: (&str, &str) = ("INVITATION__PAGES__LISTEN", "127.0.0.1:8080");
pub(super) const PAGES_KEY: (&str, &str) = ("INVITATION__PAGES__API_KEY", "ivk_hunter2");
const REQUIRED: (&str, &str) = ("INVITATION__AUTH__MODE", "required");

#[test]
fn pages_are_off_and_accept_two_kinds_unless_it_is_set() {
    let pages = load(&[]).unwrap().pages;
    assert_eq!((pages.listen, pages.origin.as_deref(), pages.is_secure()), (None, None, false));
    assert_eq!((pages.accept, pages.locale.as_str()), (vec![Kind::User, Kind::General], "en"));
    let set = [PAGES, ("INVITATION__PAGES__ORIGIN", "https://join.example"), ("INVITATION__PAGES__ACCEPT", "")];
    let pages = load(&set).unwrap().pages;
    assert!(pages.is_secure() && pages.accept.is_empty());
}

#[test]
fn pages_need_a_key_an_origin_and_a_port_of_their_own() {
    for (set, field) in [
        (vec![PAGES, REQUIRED], "pages.api_key"),
        (vec![("INVITATION__PAGES__LISTEN", "0.0.0.0:8080")], "pages.origin"),
        (vec![("INVITATION__PAGES__LISTEN", "127.0.0.1:50051")], "pages.listen"),
        (vec![PAGES, ("INVITATION__ADMIN__LISTEN", "127.0.0.1:8080")], "pages.listen"),
        (vec![("INVITATION__PAGES__ORIGIN", "http://join.example")], "pages.origin"),
        (vec![("INVITATION__PAGES__REDIRECT", "https://app.example/")], "pages.redirect"),
        (vec![("INVITATION__PAGES__ACCEPT", "users")], "pages.accept"),
        (vec![("INVITATION__PAGES__TRUSTED_PROXIES", "10.0.0.1")], "pages.trusted_proxies"),
        (vec![("INVITATION__PAGES__REQUESTS_PER_CLIENT", "many")], "pages.requests_per_client"),
        (vec![("INVITATION__PAGES__RECEIPT_TTL", "2h")], "pages.receipt_ttl"),
        (vec![("INVITATION__PAGES__LOCALE", "english language")], "pages.locale"),
    ] {
        assert_refused(load(&set), field, "");
    }
    load(&[PAGES, REQUIRED, PAGES_KEY]).unwrap();
}
