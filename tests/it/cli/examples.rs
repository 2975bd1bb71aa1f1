//! The examples as their readers run them.

use std::path::{Path, PathBuf};
use std::process::{Output, Stdio};
use std::time::Duration;

use tokio::process::Command;
use tokio::time::timeout;

use super::server::Server;
use super::tools;
use crate::support::folder::folder;
use crate::support::pace::paced;

/// The time in which a compiler of an example is done.
const COMPILED: Duration = Duration::from_secs(60);

fn examples() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("examples")
}

async fn run(program: &Path, arguments: &[&str], folder: &Path) -> Output {
    let mut command = Command::new(program);
    command.args(arguments).current_dir(folder).stdin(Stdio::null()).kill_on_drop(true);
    let output = timeout(paced(COMPILED), command.output()).await.expect("the example ends").unwrap();
    assert!(output.status.success(), "{}: {output:?}", program.display());
    output
}

/// Runs a program that prints the steps of the flow, and checks that they are about one invitation.
async fn flows(program: &Path, arguments: &[&str], folder: &Path) {
    let text = String::from_utf8(run(program, arguments, folder).await.stdout).unwrap();
    let steps: Vec<Vec<&str>> = text.lines().map(|line| line.split(' ').collect()).collect();
    let [created, preview, accepted, watched] = &steps[..] else { panic!("{}: {text}", program.display()) };
    let ["created", name] = created[..] else { panic!("{text}") };
    assert!(preview[0] == "preview" && preview[1].ends_with("ACTIVE") && preview[2..] == ["Team", "Seven"], "{text}");
    let ["accepted", acceptance, "editor"] = accepted[..] else { panic!("{text}") };
    assert!(acceptance.starts_with(&format!("{name}/acceptances/")), "{text}");
    assert_eq!(watched, &["watched", "invitation.accepted", name], "{text}");
}

#[tokio::test(crate = "crate::support::limit")]
async fn examples_in_shell_work_as_printed() {
    if !tools::grpcurl() {
        return;
    }
    let folder = folder();
    let server = Server::ready(folder.path(), &[], &[]).await;
    for example in ["shell/grpcurl.sh", "shell/curl.sh"] {
        flows(&examples().join(example), &[&server.address.to_string()], folder.path()).await;
    }
    server.stop().await;
}

#[tokio::test(crate = "crate::support::limit")]
async fn examples_in_python_work_as_printed() {
    if !tools::python() {
        return;
    }
    let folder = folder();
    let server = Server::ready(folder.path(), &[], &[]).await;
    let python = examples().join("python");
    run(&python.join("generate"), &[], &python).await;
    for flow in ["flow.py", "flow_asyncio.py"] {
        flows(Path::new("python3"), &[flow, &server.address.to_string()], &python).await;
    }
    server.stop().await;
}

#[tokio::test(crate = "crate::support::limit")]
async fn examples_in_typescript_work_as_printed() {
    let folder = folder();
    let server = Server::ready(folder.path(), &[], &[]).await;
    let (typescript, npm) = (examples().join("typescript"), Path::new("npm"));
    run(npm, &["run", "build"], &typescript).await;
    flows(npm, &["run", "--silent", "grpc", "--", &server.address.to_string()], &typescript).await;
    flows(npm, &["run", "--silent", "connect", "--", &format!("http://{}", server.address)], &typescript).await;
    server.stop().await;
}

#[tokio::test(crate = "crate::support::limit")]
async fn example_in_rust_works_as_printed() {
    let folder = folder();
    let server = Server::ready(folder.path(), &[], &[]).await;
    // Cargo has built it with the tests, beside the binary.
    let flow = Path::new(env!("CARGO_BIN_EXE_invitation-service")).with_file_name("examples").join("flow");
    flows(&flow, &[&format!("http://{}", server.address)], folder.path()).await;
    server.stop().await;
}
