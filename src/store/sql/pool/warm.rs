//! Connections that were used a moment ago, for the next statement. The pool asks a connection whether it still answers whenever it
//! comes back, which costs as much as a small statement; so a connection goes back only now and then, or if somebody waits for one.

use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use crate::store::sql::connection::Raw;

/// The longest a connection stays out of the pool, which closes connections that are old or have long been idle.
const LONGEST: Duration = Duration::from_secs(60);

/// The connections that nobody uses at the moment. Clones share them.
#[derive(Clone)]
pub(in crate::store) struct Warm(Arc<Mutex<State>>);

#[derive(Default)]
struct State {
    idle: Vec<Kept>,
    /// The number of callers that wait for a connection of the pool.
    waiting: usize,
    is_closed: bool,
}

/// A connection out of the pool, which is discarded unless it is taken out of here: it may not answer.
pub(in crate::store::sql) struct Kept {
    pub(in crate::store::sql) raw: Option<Raw>,
    /// The moment at which it was taken out of the pool.
    pub(in crate::store::sql) taken: Instant,
    /// The moment of its last use.
    pub(in crate::store::sql) used: Instant,
}

/// Tells, while it lasts, that a caller waits for a connection of the pool.
pub(in crate::store::sql) struct Waiting(Warm);

impl Warm {
    pub(in crate::store::sql) fn new() -> Self {
        Self(Arc::default())
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes the connection that was used last. If there is none, whoever has one meanwhile gives it back to the pool.
    pub(in crate::store::sql) fn take(&self) -> Result<Kept, Waiting> {
        let mut state = self.state();
        if let Some(kept) = state.idle.pop() {
            return Ok(kept);
        }
        state.waiting += 1;
        Err(Waiting(self.clone()))
    }

    /// Keeps a connection after its use, and returns those that belong to the pool.
    pub(in crate::store::sql) fn keep(&self, raw: Raw, taken: Instant) -> Vec<Raw> {
        let used = Instant::now();
        let mut state = self.state();
        if state.is_closed || state.waiting > 0 || used.duration_since(taken) > LONGEST {
            return vec![raw];
        }
        state.idle.push(Kept { raw: Some(raw), taken, used });
        let is_old = |kept: &Kept| used.duration_since(kept.taken) > LONGEST;
        state.idle.extract_if(.., |kept| is_old(kept)).filter_map(|mut kept| kept.raw.take()).collect()
    }

    /// Returns the number of connections that nobody uses.
    pub(in crate::store::sql) fn idle(&self) -> usize {
        self.state().idle.len()
    }

    /// Returns all connections that nobody uses, for the pool.
    pub(in crate::store::sql) fn drain(&self) -> Vec<Raw> {
        self.state().idle.drain(..).filter_map(|mut kept| kept.raw.take()).collect()
    }

    /// Keeps no connection from now on.
    pub(in crate::store::sql) fn close(&self) {
        self.state().is_closed = true;
    }
}

impl Drop for Kept {
    fn drop(&mut self) {
        if let Some(raw) = self.raw.take() {
            raw.discard();
        }
    }
}

impl Drop for Waiting {
    fn drop(&mut self) {
        self.0.state().waiting -= 1;
    }
}

impl fmt::Debug for Warm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Warm({})", self.state().idle.len())
    }
}
