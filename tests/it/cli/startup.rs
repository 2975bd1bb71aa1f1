//! The start-up table: what goes wrong at a start, the line that says so, and the exit code.

use std::fs;
use std::path::Path;

use super::server::run;
use crate::support::folder::folder;

mod postgres;

/// The last line of a log, as its level and its message.
#[track_caller]
fn fatal(stderr: &[u8]) -> String {
    let text = String::from_utf8(stderr.to_vec()).unwrap();
    let line: serde_json::Value = serde_json::from_str(text.lines().last().unwrap_or_default())
        .unwrap_or_else(|error| panic!("{error} in the last line of:\n{text}"));
    assert_eq!(line["level"], "ERROR", "{text}");
    assert!(!text.contains("\"message\":\"listening\""), "it listened before:\n{text}");
    line["message"].as_str().unwrap().to_owned()
}

/// A situation: the variables that bring it about, with `FOLDER` for the folder of the test, and a part of the line.
type Row = (&'static str, &'static [(&'static str, &'static str)], &'static str);

const KEY: &str = "1:AQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQE=";
const POSTGRES: (&str, &str) = ("INVITATION__STORE__URL", "postgres://u:p@127.0.0.1:9/d");
const KEYS: (&str, &str) = ("INVITATION__TOKEN__KEYS", KEY);
const REQUIRED: (&str, &str) = ("INVITATION__AUTH__MODE", "required");
const SMTP: (&str, &str) = ("INVITATION__MAIL__URL", "smtps://mail.example.com");
const FROM: (&str, &str) = ("INVITATION__MAIL__FROM", "Example <no-reply@example.com>");
const ALLOWED: (&str, &str) = ("INVITATION__LINKS__ALLOW_LOCALHOST", "true");

const ENCODE: &str = "percent-encode special characters of the password, such as # as %23";

/// The situations in which nothing is asked but files.
const ROWS: &[Row] = &[
    (
        "a secret is missing",
        &[("INVITATION__STORE__URL_FILE", "/nowhere/url")],
        "store.url_file: cannot read /nowhere/url",
    ),
    (
        "token keys are empty",
        &[POSTGRES, ("INVITATION__TOKEN__KEYS_FILE", "FOLDER/empty")],
        "token.keys_file: is empty: make a key with",
    ),
    ("token keys are garbage", &[("INVITATION__TOKEN__KEYS", "1:short")], "separated by commas or line breaks"),
    (
        "a token key is there twice",
        &[("INVITATION__TOKEN__KEYS_FILE", "FOLDER/twice")],
        "the key id 1 occurs twice (set by",
    ),
    ("PostgreSQL has no keys", &[POSTGRES], "token.keys: is required on PostgreSQL"),
    (
        "the file of keys is as it was printed",
        &[REQUIRED, ("INVITATION__AUTH__API_KEYS_FILE", "FOLDER/printed")],
        "line 2 is an API key itself",
    ),
    (
        "a permission is misspelt",
        &[REQUIRED, ("INVITATION__AUTH__API_KEYS_FILE", "FOLDER/misspelt")],
        "did you mean invitations.write?",
    ),
    (
        "there are no entries",
        &[REQUIRED, ("INVITATION__AUTH__API_KEYS_FILE", "FOLDER/empty")],
        "has no [[api_key]] entry",
    ),
    ("the URL is another's", &[KEYS, ("INVITATION__STORE__URL", "mysql://u:hunter2@h/d")], "must be sqlite://FILE"),
    ("a password has a #", &[KEYS, ("INVITATION__STORE__URL", "postgres://u:hunter2#x@h/d")], ENCODE),
    ("a password has a /", &[KEYS, ("INVITATION__STORE__URL", "postgres://u:hunter2/x@h/d")], ENCODE),
    ("a password of digits has a /", &[KEYS, ("INVITATION__STORE__URL", "postgres://u:1/hunter2@h/d")], ENCODE),
    ("a mail password has a /", &[("INVITATION__MAIL__URL", "smtps://u:hunter2/x@h")], ENCODE),
    ("a NATS password has a #", &[("INVITATION__EVENTS__NATS_URL", "nats://u:hunter2#x@h")], ENCODE),
    (
        "a parameter is misspelt",
        &[KEYS, ("INVITATION__STORE__URL", "postgres://u:p@h/d?sslmod=require")],
        "must not have the parameter \"sslmod\"",
    ),
    (
        "authorities of PostgreSQL are missing",
        &[KEYS, POSTGRES, ("INVITATION__STORE__CA_FILE", "/nowhere/ca")],
        "store.ca_file: cannot read /nowhere/ca",
    ),
    (
        "authorities have no certificate",
        &[KEYS, POSTGRES, ("INVITATION__STORE__CA_FILE", "FOLDER/empty")],
        "there is no certificate in PEM",
    ),
    (
        "sslmode contradicts the URL",
        &[
            KEYS,
            ("INVITATION__STORE__URL", "postgres://u:p@h/d?sslmode=require"),
            ("INVITATION__STORE__SSLMODE", "verify-full"),
        ],
        "another sslmode than store.sslmode",
    ),
    (
        "a variable is misspelt",
        &[("INVITATION__STORE__ULR", "x")],
        "INVITATION__STORE__ULR: is not a known environment variable; there are",
    ),
    (
        "several are wrong",
        &[("INVITATION__STORE__LANES", "20"), ("INVITATION__LOG__LEVEL", "infos")],
        "store.lanes: must be a whole number from 1 to 16 (set by INVITATION__STORE__LANES); log.level",
    ),
    ("templates are missing", &[("INVITATION__MAIL__TEMPLATES", "/nowhere")], "mail.templates: /nowhere: No such file"),
    (
        "authorities of mail are missing",
        &[SMTP, FROM, ALLOWED, ("INVITATION__MAIL__CA_FILE", "/nowhere")],
        "mail.ca_file: /nowhere: No such file",
    ),
    ("real mail leads to localhost", &[SMTP, FROM], "links.connection: leads to the recipient's own machine"),
    ("real mail comes from localhost", &[SMTP], "mail.from: has the domain localhost"),
    (
        "a certificate is missing",
        &[("INVITATION__GRPC__TLS__CERT_FILE", "/nowhere"), ("INVITATION__GRPC__TLS__KEY_FILE", "/nowhere")],
        "grpc.tls.cert_file: cannot read /nowhere",
    ),
    (
        "a certificate is none",
        &[("INVITATION__GRPC__TLS__CERT_FILE", "FOLDER/empty"), ("INVITATION__GRPC__TLS__KEY_FILE", "FOLDER/empty")],
        "there is no certificate in PEM",
    ),
];

fn write_files(folder: &Path) {
    let write = |name: &str, text: &str| fs::write(folder.join(name), text).unwrap();
    let entry = "[[api_key]]\nname = \"ops\"\nhash = \"sha256:ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad\"\naccount = \"acme\"\n";
    write("empty", "");
    write("twice", &format!("{KEY}\n{KEY}\n"));
    write("misspelt", &format!("{entry}permissions = [\"invitations.writ\"]\n"));
}

#[tokio::test(crate = "crate::support::limit")]
async fn what_serve_refuses_check_config_and_migrate_refuse() {
    let folder = folder();
    write_files(folder.path());
    let key = ["api-key", "entry", "--name", "ops", "--account", "acme", "--permission", "*"];
    fs::write(folder.path().join("printed"), run(folder.path(), &key, &[]).await.stdout).unwrap();
    let place = folder.path().display().to_string();
    for (situation, variables, part) in ROWS {
        let variables: Vec<_> =
            variables.iter().map(|(name, value)| (*name, value.replace("FOLDER", &place))).collect();
        let environment: Vec<_> = variables.iter().map(|(name, value)| (*name, value.as_str())).collect();
        for arguments in [&["serve", "--listen", "127.0.0.1:0"][..], &["migrate", "--wait", "0s"], &["check-config"]] {
            let output = run(folder.path(), arguments, &environment).await;
            let text = String::from_utf8(output.stderr.clone()).unwrap();
            assert_eq!(output.status.code(), Some(3), "{situation}, {arguments:?}: {text}");
            assert!(!text.contains("hunter2"), "{situation}: {text}");
            if arguments[0] == "check-config" {
                let part = part.rsplit_once("; ").map_or(*part, |(_, last)| last);
                assert!(
                    text.starts_with("the configuration is not valid\n  ") && text.contains(part),
                    "{situation}: {text}"
                );
            } else {
                let message = fatal(&output.stderr);
                assert!(message.contains(part), "{situation}, {arguments:?}: {message}");
            }
        }
    }
    assert!(!folder.path().join("data").exists(), "nothing is made before the configuration is right");
}

#[tokio::test(crate = "crate::support::limit")]
async fn problem_of_a_file_is_logged_in_the_format_that_is_set() {
    let folder = folder();
    fs::write(folder.path().join("bad.toml"), "[grpc\n").unwrap();
    let serve = ["serve", "--config", "bad.toml"];
    let text = [("INVITATION__LOG__FORMAT", "text")];
    let plain = run(folder.path(), &serve, &text).await;
    let said = String::from_utf8(plain.stderr).unwrap();
    assert_eq!((plain.status.code(), said.lines().count()), (Some(3), 2), "{said}");
    assert!(said.starts_with("the configuration is not valid\n  bad.toml: line 1"), "{said}");
    let json = run(folder.path(), &serve, &[]).await;
    assert!(fatal(&json.stderr).starts_with("the configuration is not valid: bad.toml: line 1"));
    let checked = run(folder.path(), &["check-config", "--config", "bad.toml", "--log-format", "json"], &[]).await;
    assert!(fatal(&checked.stderr).contains("bad.toml"));
    let missing = run(folder.path(), &["serve", "--config", "missing.toml"], &[]).await;
    assert!(fatal(&missing.stderr).contains("--config: cannot read missing.toml"));
    // A log that is off does not keep the reason back.
    let off = run(folder.path(), &["serve", "--log-level", "off", "--listen", "127.0.0.1:0"], &[POSTGRES]).await;
    assert!(String::from_utf8(off.stderr).unwrap().contains("token.keys: is required"));
}

#[tokio::test(crate = "crate::support::limit")]
async fn keys_on_two_lines_are_a_ring() {
    let folder = folder();
    fs::write(folder.path().join("keys"), format!("2:{}\n{KEY}\n", &KEY[2..])).unwrap();
    let output = run(folder.path(), &["check-config"], &[("INVITATION__TOKEN__KEYS_FILE", "keys")]).await;
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

#[tokio::test(crate = "crate::support::limit")]
async fn sockets_and_files_that_cannot_be_used_are_named() {
    let folder = folder();
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    fs::write(folder.path().join("text.db"), "no database, ".repeat(400)).unwrap();
    let text = format!("sqlite://{}", folder.path().join("text.db").display());
    let free = "127.0.0.1:0";
    for (listen, url, part, code) in [
        (address.as_str(), "sqlite://a.db", "Address already in use", 3),
        ("192.0.2.1:50051", "sqlite://a.db", "auth.mode: \"none\" is allowed on a loopback address only", 3),
        ("localhost:50051", "sqlite://a.db", "must be an IP address and a port", 3),
        (free, "sqlite:///proc/nowhere/a.db", "/proc/nowhere cannot be created: No such file or directory", 4),
        (free, text.as_str(), "text.db cannot be opened as a database: file is not a database (SQLite code 26)", 4),
    ] {
        let output = run(folder.path(), &["serve", "--listen", listen], &[("INVITATION__STORE__URL", url)]).await;
        let message = fatal(&output.stderr);
        assert!(message.contains(part), "{message}");
        assert_eq!(output.status.code(), Some(code), "{message}");
        assert!(output.stdout.is_empty(), "it invites nobody who would find nothing");
    }
}

#[tokio::test(crate = "crate::support::limit")]
async fn help_and_the_document_name_every_exit_code() {
    let folder = folder();
    let help = run(folder.path(), &["--help"], &[]).await;
    let help = String::from_utf8(help.stdout).unwrap().split_whitespace().collect::<Vec<_>>().join(" ");
    let document = fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/docs/operations.md")).unwrap();
    for code in 0..=6 {
        assert!(help.contains(&format!("{code} ")), "{help}");
        assert!(document.contains(&format!("\n| {code} | ")), "docs/operations.md lacks exit code {code}");
    }
    let unknown = run(folder.path(), &["srve"], &[]).await;
    assert_eq!(unknown.status.code(), Some(2));
    let health = run(folder.path(), &["health", "--endpoint", "http://127.0.0.1:9"], &[]).await;
    let text = String::from_utf8(health.stderr).unwrap();
    assert_eq!(health.status.code(), Some(4), "{text}");
    assert!(text.contains("http://127.0.0.1:9 cannot be reached: Connection refused"), "{text}");
}
