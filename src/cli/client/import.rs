//! `import`: an invitation for each line of a CSV file.
//!
//! The id of each request is made of the line, or of a column that identifies it. So a second run after a break, also with a file in
//! which broken lines were mended, sends nothing twice: the server answers what it has done before.

mod lines;

use std::collections::HashMap;
use std::io::Read;
use std::path::{Path, PathBuf};

use clap::{Args, ValueEnum};
use futures_util::{StreamExt as _, stream};
use prost_reflect::DynamicMessage;
use serde_json::{Value, json};

use super::call::Client;
use super::failure::Failure;
use super::output::Columns;
use super::output::printable::printable;
use super::output::progress::Progress;
use super::{Run, Session};
use lines::{Line, LineParser};

/// The calls that are under way at the same time.
const CONCURRENCY: usize = 32;

const REPORT: &Columns = &[("LINE", ""), ("RESULT", ""), ("INVITATION", ""), ("PROBLEM", "")];
const WIDTHS: [usize; 4] = [6, 11, 58, 0];

/// The kind of the invitations that are imported.
#[derive(Clone, Copy, Debug, ValueEnum)]
pub(super) enum Kind {
    Connection,
    User,
    Guest,
    General,
}

/// The flags of `import`.
#[derive(Clone, Debug, Args)]
pub struct ImportArgs {
    /// CSV file, the first line of which names the columns like flags of `create KIND`; - reads the standard input.
    #[arg(value_name = "FILE")]
    file: PathBuf,
    /// Kind of the invitations.
    #[arg(long, value_enum)]
    kind: Kind,
    /// Decide about each line, but create nothing.
    #[arg(long)]
    dry_run: bool,
    /// Column that identifies a line, such as the number of a customer; all columns together do, if it is not given.
    #[arg(long, value_name = "COLUMN")]
    id_column: Option<String>,
    /// Column to ignore; can be given several times.
    #[arg(long = "ignore", value_name = "COLUMN")]
    ignored: Vec<String>,
    /// Character between the fields.
    #[arg(long, value_name = "CHARACTER", default_value = ",")]
    delimiter: char,
    /// Flags of `create KIND` for all lines, after --; a column takes their place.
    #[arg(last = true, value_name = "FLAGS")]
    defaults: Vec<String>,
}

impl Run for ImportArgs {
    async fn run(self, session: &mut Session) -> Result<(), Failure> {
        let Self { file, kind, dry_run, id_column, ignored, delimiter, defaults } = self;
        let mut parser = LineParser::new(kind, defaults, id_column, ignored)?;
        let reader = open(&file)?;
        let lines = lines::read(reader, delimiter, &mut parser)?;
        let mut import = Import::new(lines.len(), dry_run);
        let (client, method) = (session.client.patient(), parser.method);
        session.output.outlive_reader();
        session.output.reserve(&WIDTHS);
        // Answers come in the order of the lines.
        let mut answers =
            stream::iter(checked(lines)).map(|line| send(&client, method, line, dry_run)).buffered(CONCURRENCY);
        while let Some((number, result)) = answers.next().await {
            import.report(number, result, session)?;
        }
        drop(answers);
        import.end(session)
    }
}

fn open(file: &Path) -> Result<Box<dyn Read>, Failure> {
    if file.as_os_str() == "-" {
        return Ok(Box::new(std::io::stdin()));
    }
    let opened = std::fs::File::open(file);
    let opened = opened.map_err(|error| Failure::failed(format!("cannot read {}: {error}", file.display())))?;
    Ok(Box::new(opened))
}

/// Refuses a line that says the same as one before, since it would be the same request.
fn checked(lines: Vec<Line>) -> Vec<Line> {
    let mut first: HashMap<String, u64> = HashMap::new();
    let check = |line: Line| {
        let Line { number, request } = line;
        let request = request.and_then(|(id, request)| match first.get(&id) {
            Some(earlier) => Err(format!("the same as line {earlier}")),
            None => {
                first.insert(id.clone(), number);
                Ok((id, request))
            }
        });
        Line { number, request }
    };
    lines.into_iter().map(check).collect()
}

/// Sends a line, unless it is broken.
async fn send(client: &Client, method: &str, line: Line, dry_run: bool) -> (u64, Result<DynamicMessage, Failure>) {
    let Line { number, request } = line;
    let result = match request {
        Err(problem) => Err(Failure::failed(problem)),
        Ok((id, mut request)) => {
            request["request_id"] = json!(id);
            request["validate_only"] = json!(dry_run);
            client.call(method, request).await
        }
    };
    (number, result)
}

/// The lines so far, and their outcomes.
struct Import {
    dry_run: bool,
    total: usize,
    done: usize,
    failed: usize,
    progress: Progress,
}

impl Import {
    fn new(total: usize, dry_run: bool) -> Self {
        Self { dry_run, total, done: 0, failed: 0, progress: Progress::new(total) }
    }

    /// Prints what became of a line. A failure that would meet all further lines too ends the import.
    fn report(
        &mut self,
        number: u64,
        result: Result<DynamicMessage, Failure>,
        session: &mut Session,
    ) -> Result<(), Failure> {
        if self.progress.is_shared() {
            self.progress.clear();
        }
        match result {
            Ok(invitation) => {
                self.done += 1;
                self.report_done(number, invitation, session)?;
            }
            Err(failure) if failure.is_final() => {
                self.progress.clear();
                session.output.flush()?;
                let left = self.total - self.done - self.failed;
                return Err(failure.followed_by(&format!(
                    "; stopped at line {number}, {left} of {} lines are left: run the same command again",
                    self.total
                )));
            }
            Err(failure) => {
                self.failed += 1;
                self.report_failed(number, &failure, session)?;
            }
        }
        if self.progress.is_shared() {
            session.output.flush()?;
        }
        self.progress.step(self.failed);
        Ok(())
    }

    fn report_done(&self, number: u64, invitation: DynamicMessage, session: &mut Session) -> Result<(), Failure> {
        let text = |field: &str| {
            let value = invitation.get_field_by_name(field);
            value.and_then(|value| value.as_str().map(str::to_owned)).unwrap_or_default()
        };
        let outcome = invitation.get_field_by_name("create_outcome").and_then(|outcome| outcome.as_enum_number());
        let is_existing = outcome == Some(crate::pb::CreateOutcome::Existing.into());
        let result = match (is_existing, self.dry_run) {
            (true, _) => "exists",
            // By this run or by an earlier one: the server answers both alike.
            (false, false) => "done",
            // A dry run names an invitation only if an earlier run created it.
            (false, true) if text("name").is_empty() => "valid",
            (false, true) => "sent before",
        };
        if session.output.is_json() {
            let invitation = serde_json::to_value(&invitation).map_err(|error| Failure::failed(error.to_string()))?;
            return session.output.json(&json!({"line": number, "result": result, "invitation": invitation}));
        }
        let name = printable(&text("name")).into_owned();
        session.output.cells(REPORT, vec![vec![number.to_string(), result.to_owned(), name, String::new()]])
    }

    fn report_failed(&self, number: u64, failure: &Failure, session: &mut Session) -> Result<(), Failure> {
        let problem = failure.to_string();
        if session.output.is_json() {
            return session.output.json(&json!({"line": number, "result": "failed", "problem": problem}));
        }
        session.output.cells(REPORT, vec![vec![number.to_string(), "failed".to_owned(), String::new(), problem]])
    }

    /// Prints the sum. An import with a line that failed has failed.
    fn end(mut self, session: &mut Session) -> Result<(), Failure> {
        self.progress.clear();
        session.output.flush()?;
        let Self { dry_run, total, done, failed, .. } = self;
        let verb = if dry_run { "can be done" } else { "done" };
        let sum = format!("{done} of {total} {verb}, {failed} failed");
        if failed > 0 {
            return Err(Failure::failed(format!("{sum}: mend these lines and run the same command again")));
        }
        if session.output.is_json() { Ok(()) } else { session.output.line(&sum) }
    }
}

/// The request to create an invitation, and its id.
type Request = (String, Value);
