//! Writes lines by a thread of its own, so that a slow reader of the log delays no call.
//!
//! The thread writes all that has gathered at once. Waking it for each line would cost a call more than its line does.

use std::io::{self, Write};
use std::mem;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Duration;

use tracing_subscriber::fmt::MakeWriter;

/// The most bytes of lines that may wait.
const MAX_WAITING: usize = 2 * 1024 * 1024;
/// The time for which lines gather, from the first one on.
const GATHER_TIME: Duration = Duration::from_millis(5);
/// The capacity that is kept for the next lines.
const KEPT_CAPACITY: usize = 64 * 1024;
/// The time that the end of the process waits for the last lines.
const LAST_LINES_LIMIT: Duration = Duration::from_secs(1);

/// Takes lines, and loses some when the reader is too far behind. Clones share the thread.
#[derive(Clone)]
pub(super) struct LineWriter(Arc<Shared>);

/// Writes the last lines when it is dropped.
pub(super) struct LastLines(Arc<Shared>);

#[derive(Default)]
struct Shared {
    state: Mutex<State>,
    /// Wakes the thread.
    written: Condvar,
    /// Wakes the end of the process.
    ended: Condvar,
}

#[derive(Default)]
struct State {
    lines: Vec<u8>,
    lost: u64,
    /// Whether the thread waits to be woken.
    sleeps: bool,
    /// Whether the process ends, and whether the thread has ended.
    closed: bool,
    done: bool,
}

impl LineWriter {
    /// Starts the thread.
    pub(super) fn start(output: impl Write + Send + 'static) -> io::Result<(Self, LastLines)> {
        let shared = Arc::<Shared>::default();
        let writer = Arc::clone(&shared);
        thread::Builder::new().name("log".to_owned()).spawn(move || writer.run(output))?;
        Ok((Self(Arc::clone(&shared)), LastLines(shared)))
    }
}

impl Shared {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn run(&self, mut output: impl Write) {
        let mut lines = Vec::new();
        while self.take(&mut lines) {
            // A log that cannot be written has nobody to be told to.
            drop(output.write_all(&lines).and_then(|()| output.flush()));
            lines.clear();
            lines.shrink_to(KEPT_CAPACITY);
            let lost = mem::take(&mut self.state().lost);
            if lost > 0 {
                tracing::warn!(lost, "the log is read too slowly; lines were lost");
            }
        }
        self.state().done = true;
        self.ended.notify_all();
    }

    /// Waits for lines and takes them; false once there are none and the process ends.
    fn take(&self, lines: &mut Vec<u8>) -> bool {
        let mut state = self.state();
        while state.lines.is_empty() && !state.closed {
            state.sleeps = true;
            state = self.written.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
        if !state.closed {
            drop(state);
            thread::sleep(GATHER_TIME);
            state = self.state();
        }
        mem::swap(&mut state.lines, lines);
        !lines.is_empty()
    }

    fn wake(&self, mut state: MutexGuard<'_, State>) {
        if mem::take(&mut state.sleeps) {
            drop(state);
            self.written.notify_one();
        }
    }
}

impl Write for LineWriter {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        let mut state = self.0.state();
        if state.lines.len() + line.len() > MAX_WAITING {
            state.lost += 1;
        } else {
            state.lines.extend_from_slice(line);
            self.0.wake(state);
        }
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl<'a> MakeWriter<'a> for LineWriter {
    type Writer = Self;

    fn make_writer(&'a self) -> Self {
        self.clone()
    }
}

impl Drop for LastLines {
    fn drop(&mut self) {
        let mut state = self.0.state();
        state.closed = true;
        self.0.wake(state);
        let pending = |state: &mut State| !state.done;
        // A reader that does not read must not keep the process from ending.
        drop(self.0.ended.wait_timeout_while(self.0.state(), LAST_LINES_LIMIT, pending));
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc::{Receiver, Sender, channel};
    use std::time::Instant;

    use super::*;

    /// An output that shows what is written, and waits for a permission each time.
    struct Slow(Sender<Vec<u8>>, Receiver<()>);

    impl Write for Slow {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            drop(self.0.send(bytes.to_vec()));
            self.1.recv().unwrap_or_default();
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn lines_that_gathered_are_written_at_once_and_in_order() {
        let (written, shown) = channel();
        let (go_on, permission) = channel();
        let (mut writer, last) = LineWriter::start(Slow(written, permission)).unwrap();
        writer.write_all(b"one\n").unwrap();
        assert_eq!(shown.recv().unwrap(), b"one\n");
        writer.write_all(b"two\n").unwrap();
        writer.clone().write_all(b"three\n").unwrap();
        go_on.send(()).unwrap();
        assert_eq!(shown.recv().unwrap(), b"two\nthree\n");
        go_on.send(()).unwrap();
        writer.write_all(b"four\n").unwrap();
        drop(go_on);
        drop(last);
        assert_eq!(shown.recv().unwrap(), b"four\n", "the last lines are written before the process ends");
    }

    #[test]
    fn slow_reader_loses_lines_and_delays_nobody() {
        let (written, shown) = channel();
        let (_never, permission) = channel();
        let (mut writer, last) = LineWriter::start(Slow(written, permission)).unwrap();
        let line = vec![b'x'; 1024];
        writer.write_all(&line).unwrap();
        shown.recv().unwrap();
        for _ in 0..3 * MAX_WAITING / line.len() {
            writer.write_all(&line).unwrap();
        }
        let state = writer.0.state();
        assert_eq!((state.lines.len(), state.lost), (MAX_WAITING, 4 * 1024 - 2 * 1024 + 2 * 1024));
        drop(state);
        let started = Instant::now();
        drop(last);
        assert!(started.elapsed() < 2 * LAST_LINES_LIMIT);
    }
}
