//! `watch`: events as they happen, over breaks of the connection and, with a file, over restarts of the command.

use std::fs;
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::Args;
use prost_reflect::DynamicMessage;
use serde_json::{Map, Value, json};
use tokio::time::sleep;
use tonic::Status;

use super::failure::{Failure, retry_after};
use super::flags::{past, put, scope, words};
use super::output::Columns;
use super::{Run, Session, warn};
use crate::domain::value::time::Timestamp;
use crate::input_file;
use crate::private_file;

const EVENTS: &Columns = &[
    ("TIME", "time"),
    ("EVENT", "type"),
    ("KIND", "kind"),
    ("STATE", "state"),
    ("INVITATION", "invitation"),
    ("ACTOR", "actor"),
    ("DETAILS", "payload"),
];
/// The widths that most events fit, since there is no page to measure.
const WIDTHS: [usize; 7] = [20, 28, 10, 9, 48, 12, 0];

/// The pauses before a stream that broke is opened again.
const FIRST_PAUSE: Duration = Duration::from_millis(500);
const MAX_PAUSE: Duration = Duration::from_secs(15);

/// The flags of `watch`.
#[derive(Clone, Debug, Args)]
pub struct WatchArgs {
    /// Type of the events, such as invitation.accepted or delivery.*; can be given several times.
    #[arg(long = "event", value_name = "TYPE")]
    types: Vec<String>,
    /// Kind of the invitations; can be given several times.
    #[arg(long = "kind", value_name = "KIND", value_parser = words("InvitationKind"))]
    kinds: Vec<String>,
    /// Scope of the invitations.
    #[arg(long, value_name = "TYPE:ID", value_parser = scope)]
    scope: Option<Value>,
    /// Begin with the oldest event that is kept.
    #[arg(long, conflicts_with = "since")]
    from_beginning: bool,
    /// Begin with the events of this moment: a moment such as 2027-01-31T12:00:00Z, or a time ago such as 2h.
    #[arg(long, value_name = "MOMENT", value_parser = past)]
    since: Option<Timestamp>,
    /// File that keeps how far the events were printed: the next run with it continues there, and misses none.
    #[arg(long, value_name = "FILE")]
    resume: Option<PathBuf>,
    /// Number of events after which to stop; it goes on for ever, if it is not given.
    #[arg(long, value_name = "NUMBER")]
    limit: Option<usize>,
}

impl Run for WatchArgs {
    async fn run(self, session: &mut Session) -> Result<(), Failure> {
        let Self { types, kinds, scope, from_beginning, since, resume, limit } = self;
        let mut filter = Map::new();
        put(&mut filter, "types", Some(types));
        put(&mut filter, "kinds", Some(kinds));
        put(&mut filter, "scope", scope);
        let token = resume.as_deref().map(read_token).transpose()?.flatten();
        let start = match token {
            Some(token) => json!({"resume_token": token}),
            None if from_beginning => json!({"from_beginning": true}),
            None => json!({"start_time": since.map(|moment| moment.to_string())}),
        };
        session.output.reserve(&WIDTHS);
        let mut watch = Watch { filter, start, resume, left: limit.unwrap_or(usize::MAX) };
        watch.follow(session).await
    }
}

/// The place up to which the events were printed.
struct Watch {
    filter: Map<String, Value>,
    start: Value,
    resume: Option<PathBuf>,
    left: usize,
}

impl Watch {
    /// Prints events, and opens the stream again where it broke.
    async fn follow(&mut self, session: &mut Session) -> Result<(), Failure> {
        let mut pause = FIRST_PAUSE;
        let mut has_answered = false;
        while self.left > 0 {
            let before = self.start.clone();
            let Err(status) = self.print(session).await? else { return Ok(()) };
            if self.start != before {
                (pause, has_answered) = (FIRST_PAUSE, true);
            }
            let failure = session.client.failure(&status);
            // A first stream that cannot be opened is a mistake of the caller more often than an outage.
            let wait = retry_after(&status, true).filter(|_| has_answered);
            let Some(wait) = wait else { return Err(failure) };
            warn(&format!("{failure}; connecting again"));
            sleep(wait.max(pause)).await;
            pause = (pause * 2).min(MAX_PAUSE);
        }
        Ok(())
    }

    /// Prints the events of one stream until it ends with a status, or there are enough.
    async fn print(&mut self, session: &mut Session) -> Result<Result<(), Status>, Failure> {
        let mut request = self.filter.clone();
        request.extend(self.start.as_object().cloned().unwrap_or_default());
        let mut stream = match session.client.stream("EventService.WatchEvents", Value::Object(request)).await {
            Ok(stream) => stream,
            Err(status) => return Ok(Err(status)),
        };
        while self.left > 0 {
            match stream.message().await {
                Ok(Some(response)) => self.take(response, session)?,
                Ok(None) => return Ok(Err(Status::unavailable("the stream ended"))),
                Err(status) => return Ok(Err(status)),
            }
        }
        Ok(Ok(()))
    }

    /// Prints an event, and notes that it was.
    fn take(&mut self, mut response: DynamicMessage, session: &mut Session) -> Result<(), Failure> {
        if let Some(prost_reflect::Value::Message(event)) = response.take_field_by_name("event") {
            session.output.rows(EVENTS, vec![event])?;
            self.left -= 1;
        }
        let token = response.get_field_by_name("resume_token");
        let Some(token) = token.as_ref().and_then(|token| token.as_str()).filter(|token| !token.is_empty()) else {
            return Ok(());
        };
        self.start = json!({"resume_token": token});
        match &self.resume {
            Some(file) => {
                let written = write_token(file, token);
                written.map_err(|error| Failure::failed(format!("cannot write {}: {error}", file.display())))
            }
            None => Ok(()),
        }
    }
}

/// Returns the token of the last run; `None` if this is the first one.
fn read_token(file: &Path) -> Result<Option<String>, Failure> {
    match input_file::read_text(file) {
        Ok(text) => Ok(Some(text.trim().to_owned()).filter(|token| !token.is_empty())),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(Failure::failed(format!("cannot read {}: {error}", file.display()))),
    }
}

/// Replaces the file as a whole, so that a break leaves the token before or this one.
fn write_token(file: &Path, token: &str) -> io::Result<()> {
    let mut name = file.as_os_str().to_owned();
    name.push(".new");
    let new = PathBuf::from(name);
    let mut opened = private_file::options().write(true).create(true).truncate(true).open(&new)?;
    writeln!(opened, "{token}")?;
    fs::rename(new, file)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::exit::Exit;

    #[test]
    fn token_is_kept_in_a_file_as_a_whole() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("position");
        assert_eq!(read_token(&file).unwrap(), None);
        for token in ["first", "second"] {
            write_token(&file, token).unwrap();
            assert_eq!(read_token(&file).unwrap().as_deref(), Some(token));
        }
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
        assert_eq!(read_token(folder.path()).unwrap_err().exit(), Exit::Failed, "a folder");
    }
}
