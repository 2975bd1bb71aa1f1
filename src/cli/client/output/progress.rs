//! A bar of how far long work has come: one line of the error output that is drawn over, on a terminal alone.

use std::io::{self, IsTerminal as _, Write as _};
use std::time::{Duration, Instant};

const WIDTH: usize = 30;
/// The least time between two drawings.
const INTERVAL: Duration = Duration::from_millis(100);
/// The cursor goes to the beginning of the line, and the line is emptied (ECMA-48).
const CLEAR: &str = "\r\u{1b}[K";

/// The progress of a number of steps.
#[derive(Debug)]
pub(in crate::cli::client) struct Progress {
    total: usize,
    done: usize,
    last: Option<Instant>,
    is_drawn: bool,
    is_terminal: bool,
    /// Whether the output goes to the same terminal.
    is_shared: bool,
}

impl Progress {
    /// Creates the progress of so many steps.
    pub(in crate::cli::client) fn new(total: usize) -> Self {
        let is_terminal = io::stderr().is_terminal();
        let is_shared = is_terminal && io::stdout().is_terminal();
        Self { total, done: 0, last: None, is_drawn: false, is_terminal, is_shared }
    }

    /// Returns whether lines of the output appear where the bar is, so that each has to be printed while the bar is away.
    pub(in crate::cli::client) fn is_shared(&self) -> bool {
        self.is_shared
    }

    /// Takes the bar away.
    pub(in crate::cli::client) fn clear(&mut self) {
        if std::mem::take(&mut self.is_drawn) {
            draw(CLEAR);
        }
    }

    /// Counts a step, and draws the bar if it has not been drawn just now.
    pub(in crate::cli::client) fn step(&mut self, failed: usize) {
        self.done += 1;
        if self.is_terminal && self.last.is_none_or(|last| last.elapsed() >= INTERVAL) {
            draw(&format!("{CLEAR}{}", bar(self.done, self.total, failed)));
            (self.last, self.is_drawn) = (Some(Instant::now()), true);
        }
    }
}

fn draw(text: &str) {
    let mut out = io::stderr().lock();
    // A bar that cannot be drawn is no reason to stop.
    let _ = out.write_all(text.as_bytes()).and_then(|()| out.flush());
}

fn bar(done: usize, total: usize, failed: usize) -> String {
    let filled = (WIDTH * done).checked_div(total).unwrap_or(WIDTH).min(WIDTH);
    let failed = if failed > 0 { format!(", {failed} failed") } else { String::new() };
    format!("[{}{}] {done}/{total}{failed}", "#".repeat(filled), ".".repeat(WIDTH - filled))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bar_fills_with_the_steps() {
        assert_eq!(bar(0, 10, 0), format!("[{}] 0/10", ".".repeat(30)));
        assert_eq!(bar(5, 10, 2), format!("[{}{}] 5/10, 2 failed", "#".repeat(15), ".".repeat(15)));
        assert_eq!(bar(10, 10, 0), format!("[{}] 10/10", "#".repeat(30)));
        assert!(bar(0, 0, 0).ends_with("0/0"));
    }
}
