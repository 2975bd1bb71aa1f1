//! A connection to PostgreSQL that can be cut at the worst moment.

use std::sync::{Arc, Mutex};

use invitation_service::clock::Clock;
use invitation_service::domain::group::Group;
use invitation_service::store::{Database, Store};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::oneshot;

use super::build::commands;
use super::database::TestDatabase;
use super::postgres;

/// The moment at which a connection is cut.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Cut {
    /// Before the statement reaches the server.
    Before,
    /// As soon as the statement is on its way.
    During,
    /// After the server has carried it out, before its answer arrives.
    After,
}

struct Trap {
    marker: String,
    /// The number of statements with the marker that pass before the cut.
    passes: usize,
    cut: Cut,
    sprung: oneshot::Sender<()>,
}

/// Stands between a store and the server.
#[derive(Clone)]
pub(crate) struct Proxy(Arc<Mutex<Option<Trap>>>);

impl Proxy {
    /// Returns a store whose connections all go through a proxy.
    pub(crate) async fn store(database: &TestDatabase, clock: &Clock) -> (Self, Store) {
        let (proxy, url) = Self::before(database).await;
        let options = commands::options(Group::run);
        let connections = postgres::options(&url, Some(&url), 8, options.timeout);
        let database = Database::postgres(&connections, clock.clone()).unwrap();
        (proxy, Store::start(database, &options))
    }

    /// Returns a proxy and the URL of the database behind it.
    pub(crate) async fn before(database: &TestDatabase) -> (Self, String) {
        let mut url = url::Url::parse(database.url()).unwrap();
        let server = format!("127.0.0.1:{}", url.port().unwrap());
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        url.set_port(Some(listener.local_addr().unwrap().port())).unwrap();
        let proxy = Self(Arc::default());
        tokio::spawn(proxy.clone().serve(listener, server));
        (proxy, url.into())
    }

    /// Cuts the next connection that carries `marker` to the server, once; tells when it has happened.
    pub(crate) fn cut(&self, cut: Cut, marker: &str) -> oneshot::Receiver<()> {
        self.cut_later(cut, marker, 0)
    }

    /// The same after so many have passed; an empty marker stands for anything that is sent.
    pub(crate) fn cut_later(&self, cut: Cut, marker: &str, passes: usize) -> oneshot::Receiver<()> {
        let (sprung, receiver) = oneshot::channel();
        *self.0.lock().unwrap() = Some(Trap { marker: marker.to_owned(), passes, cut, sprung });
        receiver
    }

    /// Takes the trap away, if it has not sprung.
    pub(crate) fn disarm(&self) {
        *self.0.lock().unwrap() = None;
    }

    async fn serve(self, listener: TcpListener, server: String) {
        while let Ok((client, _)) = listener.accept().await {
            let server = TcpStream::connect(&server).await.unwrap();
            tokio::spawn(self.clone().carry(client.into_split(), server.into_split()));
        }
    }

    async fn carry(self, client: (OwnedReadHalf, OwnedWriteHalf), server: (OwnedReadHalf, OwnedWriteHalf)) {
        let ((mut client, mut to_client), (mut server, mut to_server)) = (client, server);
        let (mut request, mut response) = (vec![0; 1 << 20], vec![0; 1 << 20]);
        loop {
            tokio::select! {
                read = client.read(&mut request) => {
                    let Ok(read @ 1..) = read else { return };
                    let trap = self.spring(&request[..read]);
                    // A receiver that was dropped does not care.
                    if let Some(Trap { cut: Cut::Before, sprung, .. }) = trap {
                        sprung.send(()).ok();
                        return;
                    }
                    if to_server.write_all(&request[..read]).await.is_err() {
                        return;
                    }
                    if let Some(Trap { cut, sprung, .. }) = trap {
                        if cut == Cut::After {
                            until_ready(&mut server).await;
                        }
                        sprung.send(()).ok();
                        return;
                    }
                }
                read = server.read(&mut response) => {
                    let Ok(read @ 1..) = read else { return };
                    if to_client.write_all(&response[..read]).await.is_err() {
                        return;
                    }
                }
            }
        }
    }

    fn spring(&self, bytes: &[u8]) -> Option<Trap> {
        let mut trap = self.0.lock().unwrap();
        let waiting = trap.as_mut()?;
        let marker = waiting.marker.as_bytes();
        if !marker.is_empty() && !bytes.windows(marker.len()).any(|window| window == marker) {
            return None;
        }
        match waiting.passes.checked_sub(1) {
            Some(passes) => {
                waiting.passes = passes;
                None
            }
            None => trap.take(),
        }
    }
}

/// Reads until the server says that it is ready again, with or without a transaction, or has closed the connection.
async fn until_ready(server: &mut OwnedReadHalf) {
    const READY: &[u8] = b"Z\0\0\0\x05";
    let mut answer = Vec::new();
    while !answer[..answer.len().saturating_sub(1)].ends_with(READY) {
        if !server.read_buf(&mut answer).await.is_ok_and(|read| read > 0) {
            return;
        }
    }
}
