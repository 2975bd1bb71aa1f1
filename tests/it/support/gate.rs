//! A way to hold a lane in the middle of a decision, so that what is sent meanwhile waits together and is one group.

use std::collections::HashMap;
use std::future::poll_fn;
use std::pin::Pin;
use std::sync::{Mutex, mpsc};
use std::task::Poll;

use invitation_service::domain::command::Command;
use invitation_service::domain::decide::Context;
use invitation_service::domain::group::{Executed, Group};
use invitation_service::domain::invitation::refusal::Refusal;
use invitation_service::store::Store;
use tokio::sync::oneshot;

use super::build::commands;
use super::build::commands::Answer;

/// The gate at which the decision of a command by a certain actor waits.
struct Gate {
    entered: oneshot::Sender<bool>,
    opened: mpsc::Receiver<()>,
}

static GATES: Mutex<Option<HashMap<String, Gate>>> = Mutex::new(None);

/// Decides as always, but panics for the actor `panic`, and waits behind the gates.
pub(crate) fn decide(group: &mut Group, command: &Command, context: &Context) -> Result<Executed, Refusal> {
    assert_ne!(command.actor, "panic", "this is what the test asks for");
    let result = Group::run(group, command, context);
    let gate = GATES.lock().unwrap().as_mut().and_then(|gates| gates.remove(&command.actor));
    if let Some(Gate { entered, opened }) = gate {
        entered.send(result.is_ok()).unwrap();
        // Ends when the gate is dropped, too.
        tokio::task::block_in_place(|| opened.recv().unwrap_err());
    }
    result
}

/// A lane that is held. It goes on when this is dropped.
pub(crate) struct Held {
    entered: oneshot::Receiver<bool>,
    _open: mpsc::Sender<()>,
}

impl Held {
    /// Waits until the decision is there and returns whether it was in favour.
    pub(crate) async fn decided(&mut self) -> bool {
        (&mut self.entered).await.unwrap()
    }
}

/// Makes the next decision of a command by `actor` wait.
pub(crate) fn gate(actor: &str) -> Held {
    let (entered, was_entered) = oneshot::channel();
    let (open, opened) = mpsc::channel();
    let gates = &mut *GATES.lock().unwrap();
    assert!(gates.get_or_insert_default().insert(actor.to_owned(), Gate { entered, opened }).is_none());
    Held { entered: was_entered, _open: open }
}

/// A name that no other test has.
pub(crate) fn actor() -> String {
    uuid::Uuid::from_bytes(invitation_service::entropy::Entropy::system().bytes()).to_string()
}

/// Holds the only lane of a store with a command that is about nothing else.
pub(crate) async fn hold(store: &Store) -> Held {
    let actor = actor();
    let mut held = gate(&actor);
    let command = Command { actor, ..commands::command(commands::create(commands::link())) };
    let store = store.clone();
    tokio::spawn(async move { store.executor().execute(command, None).await.unwrap() });
    assert!(held.decided().await);
    held
}

/// A call that waits for its answer.
pub(crate) type Waiting = Pin<Box<dyn Future<Output = Answer> + Send>>;

/// Puts a command into the queue and returns once it is there.
pub(crate) async fn send(store: &Store, command: Command) -> Waiting {
    send_until(store, command, None).await
}

/// Puts a command with a deadline into the queue and returns once it is there.
pub(crate) async fn send_until(store: &Store, command: Command, deadline: Option<tokio::time::Instant>) -> Waiting {
    let store = store.clone();
    let mut waiting: Waiting = Box::pin(async move { store.executor().execute(command, deadline).await });
    poll_fn(|context| {
        assert!(waiting.as_mut().poll(context).is_pending(), "the lane is held, so nothing is answered");
        Poll::Ready(())
    })
    .await;
    waiting
}

/// Runs commands as one group, behind whatever holds the lane just now.
pub(crate) async fn as_one_group(store: &Store, commands: impl IntoIterator<Item = Command>) -> Vec<Answer> {
    let held = hold(store).await;
    let mut waiting = Vec::new();
    for command in commands {
        waiting.push(send(store, command).await);
    }
    drop(held);
    let mut answers = Vec::new();
    for call in waiting {
        answers.push(call.await);
    }
    answers
}
