//! The time limit of asynchronous tests: a test that waits for an event that never comes fails with its name, instead of
//! holding up the whole run.
//!
//! `#[tokio::test(crate = "crate::support::limit", crate = "crate::support::limit")]` builds its runtime from this module instead
//! of from tokio. The unit tests of the library use the same file as `crate::limit`. `tests/it/tidy.rs` rejects an asynchronous
//! test without it.

use std::env;
use std::io::Write;
use std::process;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::thread;
use std::time::Duration;

use tokio::sync::oneshot;

/// The time that a test may take. Far more than the slowest needs, since a machine may be busy with several suites.
const LIMIT: Duration = Duration::from_secs(180);
/// Overrides [`LIMIT`], in seconds: for the settings that make a test do more.
const VARIABLE: &str = "TEST_LIMIT_SECONDS";
/// The time that a test that was given up may take to unwind. A thread that is blocked never does.
const UNWINDING: Duration = Duration::from_secs(20);

pub(crate) use tokio::pin;

/// The items that the macro of tokio looks for in this place.
pub(crate) mod runtime {
    pub(crate) use super::Builder;
}

/// Builds the runtime of one test.
pub(crate) struct Builder(tokio::runtime::Builder);

/// The runtime of one test, and its limit. The runtime is dropped first, so that the limit holds for its end as well.
pub(crate) struct Runtime {
    runtime: tokio::runtime::Runtime,
    limit: Limit,
}

/// A limit that runs until it is dropped.
struct Limit {
    name: String,
    length: Duration,
    reached: oneshot::Receiver<()>,
    _held: Sender<()>,
}

impl Builder {
    pub(crate) fn new_current_thread() -> Self {
        Self(tokio::runtime::Builder::new_current_thread())
    }

    pub(crate) fn new_multi_thread() -> Self {
        Self(tokio::runtime::Builder::new_multi_thread())
    }

    pub(crate) fn worker_threads(mut self, count: usize) -> Self {
        self.0.worker_threads(count);
        self
    }

    pub(crate) fn start_paused(mut self, paused: bool) -> Self {
        self.0.start_paused(paused);
        self
    }

    pub(crate) fn enable_all(mut self) -> Self {
        self.0.enable_all();
        self
    }

    pub(crate) fn build(mut self) -> std::io::Result<Runtime> {
        Ok(Runtime { runtime: self.0.build()?, limit: Limit::start(length(), UNWINDING) })
    }
}

impl Runtime {
    pub(crate) fn block_on<F: Future>(self, test: F) -> F::Output {
        let Self { runtime, limit: Limit { name, length, mut reached, _held } } = self;
        let output = runtime.block_on(async {
            tokio::select! {
                biased;
                output = test => Some(output),
                _ = &mut reached => None,
            }
        });
        drop(runtime);
        output.unwrap_or_else(|| panic!("{name} did not end within {length:?} (see {VARIABLE})"))
    }
}

impl Limit {
    /// Counts on a thread of its own: the clock of a runtime may be paused, and its threads may be blocked.
    fn start(length: Duration, unwinding: Duration) -> Self {
        // The test harness gives each thread the name of its test.
        let name = thread::current().name().unwrap_or("a test").to_owned();
        let (_held, released) = channel();
        let (reach, reached) = oneshot::channel();
        let watched = name.clone();
        thread::spawn(move || watch(&watched, (length, unwinding), &released, reach));
        Self { name, length, reached, _held }
    }
}

fn watch(name: &str, (length, unwinding): (Duration, Duration), released: &Receiver<()>, reach: oneshot::Sender<()>) {
    let is_over = |time| released.recv_timeout(time) == Err(RecvTimeoutError::Timeout);
    if !is_over(length) {
        return;
    }
    let _ = reach.send(());
    if is_over(unwinding) {
        // The macros that print are captured with the output of the test, which will never be shown.
        let line = format!("\n{name} did not end within {length:?}, and its threads are blocked: all tests end here\n");
        drop(std::io::stderr().write_all(line.as_bytes()));
        process::exit(101);
    }
}

fn length() -> Duration {
    let given = env::var(VARIABLE).ok().filter(|value| !value.is_empty());
    given.map_or(LIMIT, |value| match value.parse() {
        Ok(seconds) => Duration::from_secs(seconds),
        Err(_) => panic!("{VARIABLE} is {value:?}, which is no number of seconds"),
    })
}

#[cfg(test)]
mod tests {
    use std::panic::{AssertUnwindSafe, catch_unwind};
    use std::process::Command;

    use super::*;

    const SHORT: Duration = Duration::from_millis(20);

    fn runtime(length: Duration, unwinding: Duration) -> Runtime {
        let built = Builder::new_multi_thread().worker_threads(1).start_paused(false).enable_all().build().unwrap();
        Runtime { limit: Limit::start(length, unwinding), ..built }
    }

    #[test]
    fn test_that_waits_for_nothing_fails_with_its_name() {
        let waiting = || runtime(SHORT, LIMIT).block_on(std::future::pending::<()>());
        let panic = catch_unwind(AssertUnwindSafe(waiting)).unwrap_err();
        let text = panic.downcast::<String>().unwrap();
        let name = thread::current().name().unwrap().to_owned();
        assert!(text.starts_with(&format!("{name} did not end within 20ms")), "{text}");
    }

    #[test]
    fn test_that_ends_in_time_is_left_alone() {
        assert_eq!(runtime(LIMIT, LIMIT).block_on(async { 7 }), 7);
    }

    #[test]
    fn paused_clock_reaches_no_limit() {
        let runtime = Builder::new_current_thread().start_paused(true).enable_all().build().unwrap();
        runtime.block_on(async { tokio::time::sleep(100 * LIMIT).await });
    }

    /// Runs itself as a process of its own, which has to end.
    #[test]
    fn blocked_test_ends_the_process_with_its_name() {
        const BLOCKS: &str = "TEST_LIMIT_BLOCKS";
        if env::var_os(BLOCKS).is_some() {
            let (_held, never) = channel::<()>();
            runtime(SHORT, SHORT).block_on(async { never.recv().unwrap_err() });
        }
        let module = module_path!().split_once("::").unwrap().1;
        let name = format!("{module}::blocked_test_ends_the_process_with_its_name");
        let mut itself = Command::new(env::current_exe().unwrap());
        let ended = itself.args(["--exact", &name, "--test-threads", "2"]).env(BLOCKS, "1").output().unwrap();
        let text = String::from_utf8(ended.stderr).unwrap();
        assert_eq!(ended.status.code(), Some(101), "{text}");
        assert!(text.contains(" did not end within 20ms, and its threads are blocked"), "{text}");
    }
}
