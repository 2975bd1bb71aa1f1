//! The file of API keys: what is accepted, and what is refused at which entry.

use super::*;

const HASH: &str = "sha256:ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";

fn entry(name: &str, hash: &str, rest: &str) -> String {
    format!("[[api_key]]\nname = {name:?}\nhash = {hash:?}\n{rest}\n")
}

fn load_keys(content: &str) -> Result<Config, ConfigError> {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("keys.toml");
    std::fs::write(&path, content).unwrap();
    let path = path.display().to_string();
    let listen = ("INVITATION__GRPC__LISTEN", "0.0.0.0:50051");
    load(&[listen, ("INVITATION__AUTH__MODE", "required"), ("INVITATION__AUTH__API_KEYS_FILE", &path)])
}

#[test]
fn keys_open_every_address_and_their_names_are_shown() {
    let good = "account = \"acme\"\npermissions = [\"*\", \"invitations.read\"]";
    let config = load_keys(&entry("ci", HASH, good)).unwrap();
    let shown = config.redacted();
    assert!(shown.contains("keys.toml") && shown.contains("key ci acts in \"acme\""), "{shown}");
    let AuthConfig::Required { api_keys } = config.auth else { panic!("authentication is off") };
    assert_eq!((api_keys[0].hash[0], api_keys[0].organization_id), (0xba, None));
}

#[test]
fn a_bad_entry_is_refused_with_its_place_and_without_its_hash() {
    let good = "account = \"acme\"\npermissions = [\"*\"]";
    let other = HASH.replace("ba78", "0000");
    let cases = [
        (String::new(), "has no [[api_key]] entry"),
        (entry("ci", "ivk_hunter2", good), "hash must be"),
        (entry("c i", HASH, good), "name must be"),
        (entry("ci", HASH, "account = \"\"\npermissions = [\"*\"]"), "account must be"),
        (entry("ci", HASH, "account = \"a\\u2028\"\npermissions = [\"*\"]"), "account must be"),
        (entry("ci", HASH, "account = \"a\"\npermissions = []"), "at least one"),
        (entry("ci", HASH, "account = \"a\"\npermissions = [\"Read.All\"]"), "permission \"Read.All\""),
        (entry("ci", HASH, &format!("{good}\norganization_id = \"x\"")), "must be a UUID"),
        (entry("ci", HASH, &format!("{good}\nscope = \"x\"")), "unknown field `scope`"),
        (entry("ci", HASH, "permissions = [\"*\"]"), "missing field `account`"),
        (entry("ci", HASH, good) + &entry("ci", &other, good), "number 2 (\"ci\"): another entry has the same name"),
        (entry("ci", HASH, good) + &entry("cd", HASH, good), "number 2 (\"cd\"): another entry has the same hash"),
    ];
    for (content, text) in cases {
        let result = load_keys(&content);
        assert!(!result.as_ref().unwrap_err().to_string().contains("hunter2"));
        assert_refused(result, "auth.api_keys_file", text);
    }
    let AuthConfig::Required { api_keys } = load(&[("INVITATION__AUTH__MODE", "required")]).unwrap().auth else {
        panic!("authentication is off")
    };
    assert!(api_keys.is_empty(), "those of the database remain");
}
