//! The network between the service and PostgreSQL, which can break and fall silent.

use invitation_service::clock::Clock;
use invitation_service::store::{Database, ExecutorOptions, Store};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;

use super::postgres;

/// The fate of connections, by their numbers.
#[derive(Clone, Copy, Debug, Default)]
struct State {
    opened: u64,
    /// Up to this number connections stay open and carry nothing.
    silent: u64,
    /// Up to this number they are closed.
    closed: u64,
    /// New ones carry nothing either.
    is_dead: bool,
}

/// Stands between a service and the server.
pub(crate) struct Network {
    url: String,
    state: watch::Sender<State>,
}

impl Network {
    /// Leads to a database.
    pub(crate) async fn to(database: &str) -> Self {
        let mut url = url::Url::parse(database).unwrap();
        let server = format!("127.0.0.1:{}", url.port().unwrap());
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        url.set_port(Some(listener.local_addr().unwrap().port())).unwrap();
        let state = watch::Sender::new(State::default());
        tokio::spawn(serve(listener, server, state.clone()));
        Self { url: url.into(), state }
    }

    /// The URL of the database by this way.
    pub(crate) fn url(&self) -> &str {
        &self.url
    }

    /// A store that takes this way.
    pub(crate) fn store(&self, clock: &Clock, connections: u32, options: &ExecutorOptions) -> Store {
        let options_of_database = postgres::options(&self.url, Some(&self.url), connections, options.timeout);
        let database = Database::postgres(&options_of_database, clock.clone()).unwrap();
        Store::start(database, options)
    }

    /// The number of connections that were ever opened.
    pub(crate) fn opened(&self) -> u64 {
        self.state.borrow().opened
    }

    /// Present connections stay open and carry nothing more, for ever; new ones work.
    pub(crate) fn silence_present(&self) {
        self.state.send_modify(|state| state.silent = state.opened);
    }

    /// Neither present nor new connections carry anything.
    pub(crate) fn silence(&self) {
        self.state.send_modify(|state| (state.silent, state.is_dead) = (state.opened, true));
    }

    /// Closes the present connections; new ones work.
    pub(crate) fn cut(&self) {
        self.state.send_modify(|state| state.closed = state.opened);
    }

    /// Has new connections work. What was silent stays so.
    pub(crate) fn heal(&self) {
        self.state.send_modify(|state| (state.silent, state.is_dead) = (state.opened, false));
    }
}

async fn serve(listener: TcpListener, server: String, state: watch::Sender<State>) {
    while let Ok((client, _)) = listener.accept().await {
        let mut number = 0;
        state.send_modify(|state| {
            state.opened += 1;
            number = state.opened;
        });
        let (server, state) = (TcpStream::connect(&server).await.unwrap(), state.subscribe());
        let ((from_client, to_client), (from_server, to_server)) = (client.into_split(), server.into_split());
        tokio::spawn(carry(from_client, to_server, number, state.clone()));
        tokio::spawn(carry(from_server, to_client, number, state));
    }
}

async fn carry(mut from: OwnedReadHalf, mut to: OwnedWriteHalf, number: u64, mut state: watch::Receiver<State>) {
    let mut bytes = vec![0; 1 << 16];
    loop {
        let is_closed = |state: &State| number <= state.closed;
        let is_silent = |state: &State| number <= state.silent || state.is_dead;
        if is_silent(&state.borrow()) && !is_closed(&state.borrow()) {
            if state.changed().await.is_err() {
                return;
            }
            continue;
        }
        tokio::select! {
            read = from.read(&mut bytes) => {
                let Ok(read @ 1..) = read else { return };
                if is_silent(&state.borrow()) {
                    continue;
                }
                if to.write_all(&bytes[..read]).await.is_err() {
                    return;
                }
            }
            changed = state.changed() => {
                if changed.is_err() || is_closed(&state.borrow()) {
                    return;
                }
            }
        }
    }
}
