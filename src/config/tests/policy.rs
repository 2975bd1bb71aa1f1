//! Section `[policy]`: which lists of domains are accepted, and how they are shown.

use super::*;

#[test]
fn domains_are_read_in_one_spelling_and_shown() {
    let config = load(&[
        ("INVITATION__POLICY__INVITE_DOMAINS_ALLOW", "Example.ORG, *.b\u{fc}cher.example"),
        ("INVITATION__POLICY__INVITE_DOMAINS_DENY", "x.example.org"),
        ("INVITATION__POLICY__AUTOJOIN_PUBLIC_DOMAINS", "gmx.de,gmx.de"),
    ]);
    let shown = config.unwrap().redacted();
    for line in [
        "invite_domains_allow = \"example.org, *.xn--bcher-kva.example\"",
        "invite_domains_deny = \"x.example.org\"",
        "autojoin_public_domains = \"gmx.de\"",
    ] {
        assert!(shown.contains(line), "{shown}");
    }
    let open = load(&[]).unwrap().policy;
    assert!(open.invite.permits("example.org") && open.lets_join("example.org") && !open.lets_join("gmail.com"));
}

#[test]
fn entry_that_is_no_domain_is_refused_with_its_text() {
    for (key, field) in [
        ("INVITATION__POLICY__INVITE_DOMAINS_ALLOW", "policy.invite_domains_allow"),
        ("INVITATION__POLICY__INVITE_DOMAINS_DENY", "policy.invite_domains_deny"),
        ("INVITATION__POLICY__AUTOJOIN_PUBLIC_DOMAINS", "policy.autojoin_public_domains"),
    ] {
        assert_refused(load(&[(key, "example.org, @example.org")]), field, "\"@example.org\" must be a domain");
    }
    let many: Vec<_> = (0..10_001).map(|n| format!("d{n}.example")).collect();
    let many = many.join(",");
    let load = load(&[("INVITATION__POLICY__INVITE_DOMAINS_DENY", many.as_str())]);
    assert_refused(load, "policy.invite_domains_deny", "at most 10000 domains");
}

#[test]
fn redirects_are_read_in_one_spelling_and_shown() {
    let given = "https://APP.example.org/, MyApp:, https://*.example.org:8443/in";
    let config = load(&[("INVITATION__LINKS__REDIRECTS", given)]).unwrap();
    let wanted = "redirects = \"myapp:, https://app.example.org, https://*.example.org:8443/in\"";
    assert!(config.redacted().contains(wanted), "{}", config.redacted());
    assert!(load(&[]).unwrap().links.redirects.is_empty());
}
