//! Writes lines by a thread of its own, so that a slow reader of the log delays no call.
//!
//! The thread writes all that has gathered at once. Waking it for each line would cost a call more than its line does.

use std::io::{self, Write};
use std::mem;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Duration;

use tracing_subscriber::fmt::MakeWriter;

use super::metrics::table::LOG_LINES_DROPPED;

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
    /// Wakes the thread that writes.
    lines_came: Condvar,
    /// Wakes the end of the process, which waits for the last lines.
    writer_ended: Condvar,
}

#[derive(Default)]
struct State {
    lines: Vec<u8>,
    /// The number of lines for which there was no room.
    lost: usize,
    /// Whether the thread waits to be woken.
    sleeps: bool,
    /// Whether the process ends.
    is_closing: bool,
    /// Whether the thread has written the last lines.
    has_ended: bool,
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
        let (mut lines, mut lost, mut is_whole) = (Vec::new(), 0, true);
        while self.take(&mut lines, &mut lost) {
            // There is room for the warning now. A log that takes no lines gets none about that.
            if lost > 0 && is_whole {
                log_event!(
                    warn,
                    LOG_LINES_LOST,
                    lost = mem::take(&mut lost),
                    "the log was read too slowly; lines were lost"
                );
            }
            // Half a line may have been written before an error.
            let begin: &[u8] = if is_whole { b"" } else { b"\n" };
            let written = output.write_all(begin).and_then(|()| output.write_all(&lines)).and_then(|()| output.flush());
            is_whole = written.is_ok();
            if !is_whole {
                let unwritten = lines.iter().filter(|byte| **byte == b'\n').count();
                LOG_LINES_DROPPED.add(unwritten as u64, []);
                lost += unwritten;
            }
            lines.clear();
            lines.shrink_to(KEPT_CAPACITY);
        }
        self.state().has_ended = true;
        self.writer_ended.notify_all();
    }

    /// Waits for lines and takes them, and adds the number of those that were lost; false once there are none and the process ends.
    fn take(&self, lines: &mut Vec<u8>, lost: &mut usize) -> bool {
        let mut state = self.state();
        while state.lines.is_empty() && !state.is_closing {
            state.sleeps = true;
            state = self.lines_came.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
        if !state.is_closing {
            drop(state);
            thread::sleep(GATHER_TIME);
            state = self.state();
        }
        mem::swap(&mut state.lines, lines);
        *lost += mem::take(&mut state.lost);
        !lines.is_empty()
    }

    fn wake(&self, mut state: MutexGuard<'_, State>) {
        if mem::take(&mut state.sleeps) {
            drop(state);
            self.lines_came.notify_one();
        }
    }
}

impl Write for LineWriter {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        let mut state = self.0.state();
        if state.lines.len() + line.len() > MAX_WAITING {
            state.lost += 1;
            LOG_LINES_DROPPED.count([]);
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
        state.is_closing = true;
        self.0.wake(state);
        let pending = |state: &mut State| !state.has_ended;
        // A reader that does not read must not keep the process from ending.
        drop(self.0.writer_ended.wait_timeout_while(self.0.state(), LAST_LINES_LIMIT, pending));
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
