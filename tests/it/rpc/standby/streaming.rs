//! A standby that streams from its primary: it lags, falls silent, ends and comes back.

use std::time::{Duration, Instant};

use invitation_service::clock::Clock;
use invitation_service::pb;
use sea_orm::{ConnectionTrait as _, DatabaseConnection, Statement};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::time::timeout;

use super::pause;
use crate::support::build::messages;
use crate::support::database::TestDatabase;
use crate::support::pace::paced;
use crate::support::postgres::{Cluster, start_private};
use crate::support::service::{Service, configuration};

/// A time limit of which even the standby's half is longer than a caller waits while the standby is silent.
const TIMEOUT: &str = "6s";
/// The longest that a caller waits while the standby is silent.
const ANSWERED: Duration = Duration::from_secs(2);
/// The time that a test waits for an event before it fails.
const PATIENCE: Duration = Duration::from_secs(20);

/// A service with a standby behind a wire that can be frozen.
struct World {
    cluster: Cluster,
    standby_port: u16,
    is_frozen: watch::Sender<bool>,
    rows: DatabaseConnection,
    service: Service,
}

impl World {
    async fn start(cluster: Cluster) -> Self {
        let url = cluster.database().await;
        let standby_port = cluster.start_standby();
        let (is_frozen, wire_port) = wire(standby_port).await;
        let at = |port: u16| {
            let mut url = url::Url::parse(&url).unwrap();
            url.set_port(Some(port)).unwrap();
            String::from(url)
        };
        let read_url = at(wire_port);
        let more = [
            ("INVITATION__STORE__URL", url.as_str()),
            ("INVITATION__STORE__READ_URL", &read_url),
            ("INVITATION__STORE__TIMEOUT", TIMEOUT),
        ];
        let service = Service::start_with(configuration(&TestDatabase::sqlite(), &more), Clock::system()).await;
        // The cluster's default is serializable, which no standby knows.
        let past = at(standby_port) + "?options[default_transaction_isolation]=read%20committed";
        let rows = sea_orm::Database::connect(past).await.unwrap();
        Self { cluster, standby_port, is_frozen, rows, service }
    }

    /// Has the standby take over nothing more.
    async fn pause_replay(&self) {
        self.rows.execute_unprepared("SELECT pg_wal_replay_pause()").await.unwrap();
        let paused = "SELECT pg_get_wal_replay_pause_state() = 'paused'";
        loop {
            let row = self.rows.query_one_raw(Statement::from_string(self.rows.get_database_backend(), paused)).await;
            if row.unwrap().unwrap().try_get_by_index::<bool>(0).unwrap() {
                return;
            }
            pause().await;
        }
    }

    async fn resume_replay(&self) {
        self.rows.execute_unprepared("SELECT pg_wal_replay_resume()").await.unwrap();
    }

    async fn create(&self) -> pb::ConnectionInvitation {
        messages::create(&self.service, messages::invitation()).await
    }

    async fn get(&self, name: &str) -> pb::ConnectionInvitation {
        let get = pb::GetConnectionInvitationRequest { name: name.to_owned() };
        self.service.connections().get_connection_invitation(get).await.unwrap().into_inner()
    }

    async fn lists(&self, name: &str) -> bool {
        let list = pb::ListConnectionInvitationsRequest::default();
        let listed = self.service.connections().list_connection_invitations(list).await.unwrap().into_inner();
        listed.connection_invitations.iter().any(|invitation| invitation.name == name)
    }

    /// Creates invitations until one is not listed: then lists are read from the standby, which takes over nothing. Before, the
    /// standby takes over some, so that it can show that it follows.
    async fn until_standby_is_read(&self) -> pb::ConnectionInvitation {
        loop {
            self.pause_replay().await;
            let made = self.create().await;
            if !self.lists(&made.name).await {
                return made;
            }
            self.resume_replay().await;
            pause().await;
        }
    }

    /// Reads for a while. Every call is answered in time and shows the primary's state in the end.
    async fn read_through_an_outage(&self, name: &str) {
        let began = Instant::now();
        while began.elapsed() < Duration::from_secs(2) {
            let asked = Instant::now();
            tokio::join!(self.get(name), self.lists(name));
            assert!(asked.elapsed() < paced(ANSWERED), "{:?}", asked.elapsed());
        }
        assert_eq!(self.get(name).await.state(), pb::InvitationState::Revoked);
    }
}

/// A wire to a port that passes nothing on while it is frozen. Returns the port of its other end.
async fn wire(port: u16) -> (watch::Sender<bool>, u16) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let own = listener.local_addr().unwrap().port();
    let (sender, is_frozen) = watch::channel(false);
    tokio::spawn(async move {
        while let Ok((client, _)) = listener.accept().await {
            let is_frozen = is_frozen.clone();
            tokio::spawn(async move {
                let Ok(server) = TcpStream::connect(("127.0.0.1", port)).await else { return };
                let ((from_client, to_client), (from_server, to_server)) = (client.into_split(), server.into_split());
                tokio::select! {
                    () = carry(from_client, to_server, is_frozen.clone()) => {}
                    () = carry(from_server, to_client, is_frozen) => {}
                }
            });
        }
    });
    (sender, own)
}

async fn carry(
    mut from: impl AsyncReadExt + Unpin,
    mut to: impl AsyncWriteExt + Unpin,
    mut is_frozen: watch::Receiver<bool>,
) {
    let mut bytes = vec![0; 1 << 16];
    while let Ok(read @ 1..) = from.read(&mut bytes).await {
        let thawed = is_frozen.wait_for(|is_frozen| !is_frozen).await.is_ok();
        if !thawed || to.write_all(&bytes[..read]).await.is_err() {
            return;
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2, crate = "crate::support::limit")]
async fn reads_lag_with_the_standby_and_outlive_it() {
    let Some(cluster) = start_private() else { return };
    let world = World::start(cluster).await;
    let mut watched = world.service.events().watch_events(messages::watch("")).await.unwrap().into_inner();
    let unseen = world.until_standby_is_read().await;
    assert_eq!(world.get(&unseen.name).await.name, unseen.name, "a Get asks the primary for what it does not find");

    // A watch goes on without the standby, up to the newest event.
    loop {
        let event = timeout(PATIENCE, messages::next_event(&mut watched)).await.unwrap().unwrap();
        if event.invitation.ends_with(&unseen.uid) {
            break;
        }
    }

    world.resume_replay().await;
    while !world.lists(&unseen.name).await {
        pause().await;
    }
    world.pause_replay().await;
    messages::revoke(&world.service, &unseen.name).await.unwrap();
    assert_eq!(world.get(&unseen.name).await.state(), pb::InvitationState::Active, "a Get lags");
    let preview = messages::preview(&unseen.invitation_token);
    let shown = world.service.redemptions().preview_invitation(preview).await.unwrap().into_inner();
    assert_eq!(shown.state(), pb::InvitationState::Revoked, "a preview does not");

    world.is_frozen.send_replace(true);
    world.read_through_an_outage(&unseen.name).await;
    world.is_frozen.send_replace(false);
    while world.get(&unseen.name).await.state() == pb::InvitationState::Revoked {
        pause().await;
    }

    world.cluster.stop_standby();
    world.read_through_an_outage(&unseen.name).await;
    world.cluster.restart_standby(world.standby_port);
    world.until_standby_is_read().await;
    world.service.stop().await;
}
