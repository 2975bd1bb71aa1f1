//! Text of others is safe on a terminal, whichever way it gets into a table or a message.

use super::{Operator, cells};
use crate::support::database::TestDatabase;

/// Text that clears a screen, sets a title, moves back, reverses and hides; and a JSON and CSV quote.
const HOSTILE: &str = "\u{1b}[2J\u{1b}]0;owned\u{7}\u{9b}31m\u{202e}gpj.\u{200b}\u{8}\"";

/// Returns whether a text would do anything on a terminal but show characters in lines.
fn is_safe(text: &str) -> bool {
    let hides = |character: char| matches!(character, '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}');
    text.chars().all(|character| character == '\n' || !(character.is_control() || hides(character)))
}

#[tokio::test(crate = "crate::support::limit")]
async fn hostile_fields_of_a_file_are_written_out() {
    let operator = Operator::on(TestDatabase::sqlite()).await;
    let quoted = HOSTILE.replace('"', "\"\"");
    let mut file = format!("email,role,locale\n\"{quoted}@example.org\",viewer,de\na@example.org,\"{quoted}\",de\n");
    file += &format!("b@example.org,viewer,\"{quoted}\"\nc@example.org,\"two\nlines\",de\n\u{1b}[2J\n");
    let mut bytes = file.into_bytes();
    bytes.extend(b"\xff\x1b[2J,viewer,de\n=cmd|' /C calc'!A0,viewer,de\nd@example.org,viewer,de\n");
    operator.file("hostile.csv", bytes);
    for json in ["", " --json"] {
        let output =
            operator.run(&format!("import hostile.csv --kind user{json} -- --inviter-name Ops --ttl 7d")).await;
        let (out, told) = (String::from_utf8(output.stdout).unwrap(), String::from_utf8(output.stderr).unwrap());
        assert_eq!(output.status.code(), Some(1), "{told}");
        assert!(is_safe(&out) && is_safe(&told), "{out:?}\n{told:?}");
        assert_eq!(out.matches("failed").count(), 7, "{out}");
        assert!(out.contains("done"), "{out}");
    }
    let bad = operator.file("header.csv", format!("email,\"{quoted}\"\na@example.org,x\n"));
    let refused = operator.fails(&format!("import {} --kind user", bad.display()), 1).await;
    assert!(is_safe(&refused), "{refused:?}");
    operator.stop().await;
}

#[tokio::test(crate = "crate::support::limit")]
async fn hostile_answers_are_written_out() {
    let operator = Operator::on(TestDatabase::sqlite()).await;
    // The service takes what has no width; it refuses controls.
    let message = "\u{202e}gpj.\u{200b}株式会社";
    let flags = ["create", "general", "--email", "a@example.org", "--scope", "team:7", "--message", message];
    let created = super::printed(&operator.run_with(&[&flags[..], &["--scope-name", message]].concat()).await);
    assert!(is_safe(&created), "{created:?}");
    assert!(created.contains("株式会社"), "{created}");
    for line in ["list", "list --json"] {
        let text = operator.says(line).await;
        assert!(is_safe(&text), "{text:?}");
    }
    let id = cells(&operator.says("list").await)[0][0].clone();
    for line in [format!("show {id}"), format!("show {id} --json")] {
        let text = operator.says(&line).await;
        assert!(is_safe(&text), "{text:?}");
    }
    let [document] = &operator.json(&format!("show {id}")).await[..] else { panic!("not one document") };
    assert_eq!(document["invitation"]["message"], message, "JSON has the value as it is");
    operator.stop().await;
}

#[tokio::test(crate = "crate::support::limit")]
async fn secrets_are_in_no_output_but_that_which_creates_them() {
    let operator = Operator::on(TestDatabase::sqlite()).await;
    operator.says("create general --email a@example.org --scope team:7").await;
    operator.says("webhooks create http://127.0.0.1:9/x").await;
    operator.says("keys create other --permission invitations.read").await;
    let id = cells(&operator.says("list").await)[0][0].clone();
    let show = format!("show {id}");
    let all = [
        "list",
        "webhooks list",
        "keys list",
        "keys show other",
        "whoami",
        show.as_str(),
        "watch --from-beginning --limit 1",
        "list --timeout 1ms",
        "create user --inviter-name Ops --email x",
    ];
    for line in all {
        for json in ["", " --json"] {
            let output = operator.run(&format!("{line}{json}")).await;
            let text = [output.stdout, output.stderr].concat();
            let text = String::from_utf8(text).unwrap();
            let leaks = ["inv_", "ivk_", "whsec_"].into_iter().find(|secret| text.contains(secret));
            assert_eq!(leaks, None, "{line}{json}: {text}");
        }
    }
    operator.stop().await;
}
