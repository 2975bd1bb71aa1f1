//! Standard outputs that cannot be written to, signals that end commands, and threads.

use std::fs::{self, OpenOptions};
use std::process::Stdio;

use tokio::process::Command;
use tokio::time::timeout;

use super::server::{PATIENCE, Server, command, printed, refusal, run};
use crate::support::folder::folder;

/// A pipe whose reader has gone.
fn closed() -> Stdio {
    let (reader, writer) = std::io::pipe().unwrap();
    drop(reader);
    writer.into()
}

/// A disk that is full.
fn full() -> Stdio {
    OpenOptions::new().write(true).open("/dev/full").unwrap().into()
}

async fn ended(mut command: Command, stdout: Stdio) -> std::process::Output {
    let child = command.stdout(stdout).spawn().unwrap();
    timeout(PATIENCE, child.wait_with_output()).await.expect("the command ends").unwrap()
}

#[tokio::test(crate = "crate::support::limit")]
async fn output_without_a_reader_is_no_failure_and_a_full_disk_is() {
    let folder = folder();
    for arguments in
        [&["check-config"][..], &["token-key"], &["doctor", "--json"], &["erasures"], &["completions", "bash"]]
    {
        printed(&run(folder.path(), &["migrate"], &[]).await);
        let output = ended(command(folder.path(), arguments, &[]), closed()).await;
        assert_eq!(output.status.code(), Some(0), "{arguments:?}: {output:?}");
        if arguments != ["erasures"] {
            let text = refusal(&ended(command(folder.path(), arguments, &[]), full()).await);
            assert!(text.contains("cannot write the output: No space left"), "{text}");
        }
    }
}

#[tokio::test(crate = "crate::support::limit")]
async fn key_that_nobody_got_is_named() {
    let folder = folder();
    for (name, stdout) in [("first", closed()), ("second", full())] {
        let arguments = ["api-key", "create", "--name", name, "--account", "acme", "--permission", "*"];
        let text = refusal(&ended(command(folder.path(), &arguments, &[]), stdout).await);
        assert!(text.contains(&format!("apiKeys/{name}")) || text.contains(&format!("the key {name} ")), "{text}");
        assert!(text.contains("revoke it") && !text.contains("ivk_"), "{text}");
    }
}

#[tokio::test(crate = "crate::support::limit")]
async fn service_needs_nobody_who_reads_its_hint() {
    let folder = folder();
    let server = Server::with_stdout(folder.path(), full()).await;
    server.create().await.one().await.unwrap();
    server.stop().await;
}

#[tokio::test(crate = "crate::support::limit")]
async fn signal_ends_a_command_with_its_code() {
    let folder = folder();
    let environment = [
        ("INVITATION__STORE__URL", "postgres://a:b@127.0.0.1:1/c"),
        ("INVITATION__TOKEN__KEYS", "1:AQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQE="),
    ];
    for (signal, code) in [("TERM", 143), ("INT", 130)] {
        let arguments = ["migrate", "--wait", "60s", "--log-format", "json"];
        let child = command(folder.path(), &arguments, &environment).spawn().unwrap();
        let pid = child.id().unwrap();
        // The handler is there before the first attempt to connect.
        tokio::time::sleep(std::time::Duration::from_millis(1_500)).await;
        let kill = format!("kill -{signal} {pid}");
        assert!(Command::new("/bin/sh").args(["-c", &kill]).status().await.unwrap().success());
        let output = timeout(PATIENCE, child.wait_with_output()).await.expect("it ends").unwrap();
        let log = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(code), "{log}");
        let last: serde_json::Value = serde_json::from_str(log.lines().last().unwrap()).unwrap();
        assert_eq!((&last["event"], &last["exit_code"]), (&"process.failed".into(), &code.into()), "{last}");
    }
}

#[tokio::test(crate = "crate::support::limit")]
async fn number_of_threads_is_checked() {
    let folder = folder();
    for threads in ["0", "x", "-1", "100000"] {
        let output = run(folder.path(), &["check-config"], &[("TOKIO_WORKER_THREADS", threads)]).await;
        assert_eq!(output.status.code(), Some(3), "{output:?}");
        assert!(refusal(&output).contains("TOKIO_WORKER_THREADS: must be a number from 1 to 1024"));
    }
    printed(&run(folder.path(), &["check-config"], &[("TOKIO_WORKER_THREADS", "1")]).await);
}

#[tokio::test(crate = "crate::support::limit")]
async fn what_serve_refuses_is_refused_by_check_config_and_doctor() {
    let folder = folder();
    fs::write(folder.path().join("file"), "").unwrap();
    for (name, value, wanted) in [
        ("OTEL_TRACES_EXPORTER", "jaeger", "OTEL_TRACES_EXPORTER: must be otlp or none"),
        ("OTEL_EXPORTER_OTLP_ENDPOINT", "http://user:hunter2@bad host", "OTEL_EXPORTER_OTLP_ENDPOINT: must be"),
        ("INVITATION__MAIL__URL", "dir:file/below", "file is no folder"),
        ("INVITATION__STORE__URL", "sqlite://file/below/i.db", "file is no folder"),
    ] {
        for arguments in [&["check-config"][..], &["doctor"], &["serve", "--listen", "127.0.0.1:0"]] {
            let output = run(folder.path(), arguments, &[(name, value)]).await;
            let text = refusal(&output) + &String::from_utf8_lossy(&output.stdout);
            assert_eq!(output.status.code(), Some(3), "{arguments:?}: {text}");
            assert!(text.contains(wanted) && !text.contains("hunter2"), "{arguments:?}: {text}");
        }
    }
}
