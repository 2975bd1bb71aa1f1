//! Processes that end with this one, however it ends.
//!
//! Each is run by a small shell that waits on a pipe from here. When the pipe closes, on a return as on a panic or Ctrl-C,
//! the shell stops what it runs and removes its directory; it has a process group of its own, so that Ctrl-C spares it.

use std::io::{BufRead, BufReader, Write};
use std::os::unix::process::CommandExt;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

use crate::Outcome;

pub(crate) struct Supervisor {
    orders: Option<ChildStdin>,
    answers: BufReader<ChildStdout>,
    shell: Child,
}

impl Supervisor {
    /// Starts a shell with a script and arguments, as another user if one is given.
    pub(crate) fn start(script: &str, arguments: &[&str], user: Option<(u32, u32)>) -> Outcome<Self> {
        let mut command = Command::new("/bin/sh");
        command.args(["-c", script, "sh"]).args(arguments).current_dir("/").process_group(0);
        command.stdin(Stdio::piped()).stdout(Stdio::piped());
        if let Some((uid, gid)) = user {
            command.uid(uid).gid(gid);
        }
        let mut shell = command.spawn()?;
        let orders = shell.stdin.take();
        let answers = BufReader::new(shell.stdout.take().ok_or("the supervisor has no output")?);
        Ok(Self { orders, answers, shell })
    }

    /// Gives an order and waits for the answer, one line each.
    pub(crate) fn order(&mut self, order: &str) -> Outcome<String> {
        writeln!(self.orders.as_ref().ok_or("the supervisor takes no orders")?, "{order}")?;
        self.answer()
    }

    /// Waits for the next line that it prints.
    pub(crate) fn answer(&mut self) -> Outcome<String> {
        let mut answer = String::new();
        self.answers.read_line(&mut answer)?;
        Ok(answer.trim_end().to_owned())
    }
}

impl Drop for Supervisor {
    fn drop(&mut self) {
        drop(self.orders.take());
        // A shell that cannot be waited for has nothing left to clean up.
        drop(self.shell.wait());
    }
}
