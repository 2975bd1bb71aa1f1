//! The command line as an operator uses it: against a running server that asks for a key, on both databases.

mod hostile;
mod import;
mod session;
mod stream;
mod trouble;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Output, Stdio};

use serde_json::Value;
use tempfile::TempDir;

use super::server::{Server, command, printed, run};
use crate::support::database::TestDatabase;
use crate::support::folder::folder;
use crate::support::service::KEYS;

/// The variables of a server that posts to this machine.
const NETWORKS: (&str, &str) = ("INVITATION__WEBHOOKS__ALLOWED_NETWORKS", "127.0.0.0/8");

/// An operator with a key, and the server that they operate.
struct Operator {
    server: Server,
    folder: TempDir,
    key: String,
    _database: TestDatabase,
}

impl Operator {
    /// Makes the first key in a database, and starts a server on it.
    async fn on(database: TestDatabase) -> Self {
        let folder = folder();
        let url = database.url().to_owned();
        let environment = [("INVITATION__STORE__URL", url.as_str()), ("INVITATION__TOKEN__KEYS", KEYS), NETWORKS];
        let arguments = ["api-key", "create", "--name", "root", "--account", "acme", "--permission", "*"];
        let key = printed(&run(folder.path(), &arguments, &environment).await).trim().to_owned();
        fs::write(folder.path().join("key"), format!("{key}\n")).unwrap();
        let server = Server::ready(folder.path(), &["--auth-mode", "required"], &environment).await;
        Self { server, folder, key, _database: database }
    }

    fn path(&self) -> &Path {
        self.folder.path()
    }

    fn endpoint(&self) -> String {
        format!("http://{}", self.server.address)
    }

    /// Writes a file of the operator.
    fn file(&self, name: &str, text: impl AsRef<[u8]>) -> PathBuf {
        let path = self.path().join(name);
        fs::write(&path, text).unwrap();
        path
    }

    /// Runs a command of a line without quotes, with the endpoint and the key in variables.
    async fn run(&self, line: &str) -> Output {
        let arguments: Vec<_> = line.split_whitespace().collect();
        self.run_with(&arguments).await
    }

    async fn run_with(&self, arguments: &[&str]) -> Output {
        let endpoint = self.endpoint();
        let environment = [("INVITATION_ENDPOINT", endpoint.as_str()), ("INVITATION_API_KEY", self.key.as_str())];
        run(self.path(), arguments, &environment).await
    }

    /// Starts a command that the test ends.
    fn start(&self, line: &str) -> tokio::process::Child {
        self.start_with(line, Stdio::piped())
    }

    fn start_with(&self, line: &str, stdout: Stdio) -> tokio::process::Child {
        let arguments: Vec<_> = line.split_whitespace().collect();
        let endpoint = self.endpoint();
        let environment = [("INVITATION_ENDPOINT", endpoint.as_str()), ("INVITATION_API_KEY", self.key.as_str())];
        command(self.path(), &arguments, &environment).stdout(stdout).spawn().unwrap()
    }

    /// Returns what a command printed that must have succeeded.
    async fn says(&self, line: &str) -> String {
        printed(&self.run(line).await)
    }

    /// Returns the documents that a command printed that must have succeeded.
    async fn json(&self, line: &str) -> Vec<Value> {
        let text = self.says(&format!("{line} --json")).await;
        text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    }

    /// Returns the one line with which a command failed.
    async fn fails(&self, line: &str, code: i32) -> String {
        failure(&self.run(line).await, code)
    }

    async fn stop(self) {
        self.server.stop().await;
    }
}

/// Returns the one line with which a command failed.
#[track_caller]
fn failure(output: &Output, code: i32) -> String {
    let text = String::from_utf8(output.stderr.clone()).unwrap();
    assert_eq!(output.status.code(), Some(code), "{text}");
    assert!(text.starts_with("error: ") && text.lines().count() == 1, "{text}");
    text.trim_end().to_owned()
}

/// Returns the value beside a field of a printed record.
#[track_caller]
fn value(record: &str, field: &str) -> String {
    let line = record.lines().find_map(|line| line.strip_prefix(field)?.strip_prefix(' '));
    line.unwrap_or_else(|| panic!("no {field} in {record}")).trim().to_owned()
}

/// Returns the cells of a printed table, row by row, without its headings. Cells have no two spaces in them.
fn cells(table: &str) -> Vec<Vec<String>> {
    let cells =
        |line: &str| line.split("  ").map(str::trim).filter(|cell| !cell.is_empty()).map(str::to_owned).collect();
    table.lines().skip(1).map(cells).collect()
}

/// Returns the id at the end of a name.
fn id(name: &str) -> &str {
    name.rsplit('/').next().unwrap()
}
