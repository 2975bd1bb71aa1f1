//! A connection to PostgreSQL that can be cut at the worst moment.

use std::sync::{Arc, Mutex};

use invitation_service::clock::Clock;
use invitation_service::domain::group::Group;
use invitation_service::store::{Database, Store};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::oneshot;

use super::make;
use crate::harness::database::TestDatabase;

/// When a connection is cut.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Cut {
    /// Before the statement reaches the server.
    Before,
    /// As soon as the statement is on its way.
    During,
    /// When the server has carried it out and nobody has heard of it yet.
    After,
}

struct Trap {
    marker: String,
    cut: Cut,
    sprung: oneshot::Sender<()>,
}

/// Stands between a store and the server.
#[derive(Clone)]
pub(super) struct Proxy(Arc<Mutex<Option<Trap>>>);

impl Proxy {
    /// Returns a store whose connections all go through a proxy.
    pub(super) async fn store(database: &TestDatabase, clock: &Clock) -> (Self, Store) {
        let mut url = url::Url::parse(database.url()).unwrap();
        let server = format!("127.0.0.1:{}", url.port().unwrap());
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        url.set_port(Some(listener.local_addr().unwrap().port())).unwrap();
        let proxy = Self(Arc::default());
        tokio::spawn(proxy.clone().serve(listener, server));
        let options = make::options(Group::run);
        let database = Database::postgres(url.as_str(), 8, options.timeout, clock.clone()).unwrap();
        (proxy, Store::start(database, &options))
    }

    /// Cuts the next connection that carries `marker` to the server, once; tells when it has happened.
    pub(super) fn cut(&self, cut: Cut, marker: &str) -> oneshot::Receiver<()> {
        let (sprung, receiver) = oneshot::channel();
        *self.0.lock().unwrap() = Some(Trap { marker: marker.to_owned(), cut, sprung });
        receiver
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
                    if let Some(Trap { cut: Cut::Before, sprung, .. }) = trap {
                        sprung.send(()).unwrap();
                        return;
                    }
                    if to_server.write_all(&request[..read]).await.is_err() {
                        return;
                    }
                    if let Some(Trap { cut, sprung, .. }) = trap {
                        if cut == Cut::After {
                            until_ready(&mut server).await;
                        }
                        sprung.send(()).unwrap();
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
        let marker = trap.as_ref()?.marker.clone();
        if bytes.windows(marker.len()).any(|window| window == marker.as_bytes()) { trap.take() } else { None }
    }
}

/// Reads until the server says that it is ready again: it has committed, or failed.
async fn until_ready(server: &mut OwnedReadHalf) {
    const READY: &[u8] = b"Z\0\0\0\x05I";
    let mut answer = Vec::new();
    while !answer.ends_with(READY) {
        assert_ne!(server.read_buf(&mut answer).await.unwrap(), 0, "the server closed the connection");
    }
}
