//! The file of accounts: what is accepted, and what is refused at which entry.

use super::*;

fn load_accounts(content: &str) -> Result<Config, ConfigError> {
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), content).unwrap();
    load(&[("INVITATION__AUTH__ACCOUNTS_FILE", file.path().to_str().unwrap())])
}

#[test]
fn accounts_are_read_and_shown_without_authentication() {
    let content = "[[account]]\nname = \"acme\"\ngrantable_roles = [\"viewer\"]\n\
                   invite_domains_allow = [\"Example.org\"]\ninvite_domains_deny = [\"*.example.org\"]\n\
                   redirects = [\"https://App.example.org\"]\n\
                   [[account]]\nname = \"*\"\n";
    let config = load_accounts(content).unwrap();
    let shown = config.redacted();
    assert!(shown.contains("# account \"acme\" may give the roles [\"viewer\"], invites only [\"example.org\"], does not invite [\"*.example.org\"], sends people only to [\"https://app.example.org\"]"), "{shown}");
    assert!(shown.contains("# account \"*\" may give any role\n"), "{shown}");
    let entries = config.accounts.unwrap().entries;
    assert_eq!((entries.len(), entries[1].account.as_ref(), entries[1].grantable_roles.as_ref()), (2, None, None));
}

#[test]
fn bad_account_is_refused_with_its_place_and_reason() {
    let good = "[[account]]\nname = \"acme\"\ngrantable_roles = [\"viewer\"]\n";
    let many = format!("grantable_roles = {:?}", vec!["viewer"; 101]);
    for (content, text) in [
        (String::new(), "has no [[account]] entry"),
        (good.repeat(2), "number 2 (\"acme\"): another entry has the same name"),
        (good.replace("acme", "*").repeat(2), "number 2 (\"*\"): another entry has the same name"),
        (good.replace("acme", ""), "number 1 (\"\"): name must"),
        (good.replace("acme", &"a".repeat(201)), "name must"),
        (good.replace("viewer", ""), "grantable_roles: \"\" must"),
        (good.replace("grantable_roles = [\"viewer\"]", &many), "grantable_roles must be at most 100 roles"),
        (good.replace("grantable_roles", "roles"), "unknown field `roles`"),
        (good.replace("grantable_roles", "invite_domains_allow"), "invite_domains_allow: \"viewer\" must be a domain"),
        (good.replace("grantable_roles", "invite_domains_deny"), "invite_domains_deny: \"viewer\" must be a domain"),
        (good.replace("grantable_roles", "redirects"), "redirects: \"viewer\" must be an address such as"),
    ] {
        assert_refused(load_accounts(&content), "auth.accounts_file", text);
    }
}
