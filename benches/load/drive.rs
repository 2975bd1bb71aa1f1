//! Drives one RPC with a number of calls in flight, and checks the status of every one.

use std::str::FromStr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use invitation_service::pb::connection_invitation::Expiration;
use invitation_service::pb::connection_invitation_service_client::ConnectionInvitationServiceClient as Connections;
use invitation_service::pb::redemption_service_client::RedemptionServiceClient as Redemptions;
use invitation_service::pb::{
    AcceptInvitationRequest, Acceptor, ConnectionInvitation, CreateConnectionInvitationRequest,
    GetConnectionInvitationRequest, PreviewInvitationRequest,
};
use tokio::task::JoinSet;
use tonic::Status;
use tonic::transport::Channel;

use crate::Outcome;
use crate::options::Options;
use crate::server::Server;

/// The number of invitations that are read and accepted, in turn.
pub(crate) const INVITATIONS: usize = 10_000;
/// Over how many connections the calls go.
const CONNECTIONS: usize = 4;
/// The number of calls in flight while the invitations are created.
const PREPARING: usize = 256;

/// The RPC that is called.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Rpc {
    /// A connection invitation for one address.
    Create,
    /// One by its name.
    Get,
    /// One by its token.
    Preview,
    /// Accepts of many invitations in turn, each by somebody new.
    Accept,
    /// Accepts of one invitation.
    AcceptHot,
}

impl Rpc {
    pub(crate) const ALL: [Self; 5] = [Self::Create, Self::Get, Self::Preview, Self::Accept, Self::AcceptHot];

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Create => "create",
            Self::Get => "get",
            Self::Preview => "preview",
            Self::Accept => "accept",
            Self::AcceptHot => "accept-hot",
        }
    }
}

impl FromStr for Rpc {
    type Err = &'static str;

    fn from_str(name: &str) -> Result<Self, Self::Err> {
        Self::ALL.into_iter().find(|rpc| rpc.name() == name).ok_or("is no name of an RPC here")
    }
}

/// The speed of one cell.
pub(crate) struct Measured {
    pub(crate) per_second: f64,
    pub(crate) p50: Duration,
    pub(crate) p99: Duration,
}

/// A server with invitations, and connections to it.
pub(crate) struct Load {
    clients: Vec<Client>,
    warm_up: Duration,
    measured: Duration,
}

impl Load {
    /// Connects, and makes the invitations that are read and accepted.
    pub(crate) async fn prepare(server: &Server, options: &Options) -> Outcome<Self> {
        let known = Arc::new(Known { invitations: Vec::new(), turn: AtomicUsize::new(0) });
        let mut clients = Vec::new();
        for _ in 0..CONNECTIONS {
            let channel = server.connect().await?;
            let (connections, redemptions) = (Connections::new(channel.clone()), Redemptions::new(channel));
            clients.push(Client { connections, redemptions, known: Arc::clone(&known) });
        }
        for _ in 0..options.pending / 1_000 {
            clients[0].enqueue().await?;
        }
        let mut making = JoinSet::new();
        for task in 0..PREPARING {
            let mut client = clients[task % CONNECTIONS].clone();
            making.spawn(async move {
                let mut made = Vec::new();
                for _ in (task..INVITATIONS).step_by(PREPARING) {
                    made.push(client.create(Vec::new()).await?);
                }
                Ok::<_, Status>(made)
            });
        }
        let mut invitations = Vec::new();
        while let Some(made) = making.join_next().await {
            invitations.extend(made??);
        }
        let known = Arc::new(Known { invitations, turn: AtomicUsize::new(0) });
        for client in &mut clients {
            client.known = Arc::clone(&known);
        }
        Ok(Self { clients, warm_up: options.warm_up(), measured: options.measured() })
    }

    /// Keeps a number of calls in flight and measures those that are answered after the warm-up.
    pub(crate) async fn measure(&self, rpc: Rpc, in_flight: usize) -> Outcome<Measured> {
        let begin = Instant::now() + self.warm_up;
        let end = begin + self.measured;
        let mut tasks = JoinSet::new();
        for task in 0..in_flight {
            let mut client = self.clients[task % CONNECTIONS].clone();
            tasks.spawn(async move {
                let mut latencies = Vec::new();
                loop {
                    let started = Instant::now();
                    if started >= end {
                        return Ok::<_, Status>(latencies);
                    }
                    client.call(rpc).await?;
                    let answered = Instant::now();
                    if (begin..end).contains(&answered) {
                        latencies.push(answered - started);
                    }
                }
            });
        }
        let mut latencies = Vec::new();
        while let Some(done) = tasks.join_next().await {
            let done = done?.map_err(|status| format!("{} with {in_flight} in flight: {status}", rpc.name()))?;
            latencies.extend(done);
        }
        latencies.sort_unstable();
        let at = |percent: usize| latencies.get(latencies.len() * percent / 100).copied().ok_or("no call was answered");
        let per_second = latencies.len() as f64 / self.measured.as_secs_f64();
        Ok(Measured { per_second, p50: at(50)?, p99: at(99)? })
    }
}

/// The invitations that are there from the beginning: names and tokens.
struct Known {
    invitations: Vec<(String, String)>,
    turn: AtomicUsize,
}

#[derive(Clone)]
struct Client {
    connections: Connections<Channel>,
    redemptions: Redemptions<Channel>,
    known: Arc<Known>,
}

impl Client {
    async fn call(&mut self, rpc: Rpc) -> Result<(), Status> {
        let turn = self.known.turn.fetch_add(1, Ordering::Relaxed);
        let (name, token) = &self.known.invitations[turn % self.known.invitations.len()];
        match rpc {
            Rpc::Create => {
                self.create(vec![format!("person-{turn}@example.org")]).await?;
            }
            Rpc::Get => {
                let name = name.clone();
                self.connections.get_connection_invitation(GetConnectionInvitationRequest { name }).await?;
            }
            Rpc::Preview => {
                let token = token.clone();
                self.redemptions.preview_invitation(PreviewInvitationRequest { token }).await?;
            }
            Rpc::Accept => {
                let token = token.clone();
                self.accept(token, turn).await?;
            }
            Rpc::AcceptHot => {
                let (_, token) = &self.known.invitations[0];
                let token = token.clone();
                self.accept(token, turn).await?;
            }
        }
        Ok(())
    }

    /// Makes an invitation without a limit of uses and returns its name and token.
    /// Makes an invitation of a thousand addresses, each of which is to be mailed.
    async fn enqueue(&mut self) -> Result<(), Status> {
        let addresses = (0..1_000).map(|number| format!("waiting-{number}@example.org"));
        self.make(addresses.collect(), true).await.map(drop)
    }

    async fn create(&mut self, allowed_emails: Vec<String>) -> Result<(String, String), Status> {
        self.make(allowed_emails, false).await
    }

    async fn make(&mut self, allowed_emails: Vec<String>, send_email: bool) -> Result<(String, String), Status> {
        let connection_invitation = Some(ConnectionInvitation {
            company_id: "0190a000-0000-7000-8000-00000000c0de".to_owned(),
            allowed_emails,
            expiration: Some(Expiration::Ttl(prost_types::Duration { seconds: 30 * 24 * 3600, nanos: 0 })),
            ..ConnectionInvitation::default()
        });
        let send_email = Some(send_email);
        let request = CreateConnectionInvitationRequest { connection_invitation, send_email, ..Default::default() };
        let made = self.connections.create_connection_invitation(request).await?.into_inner();
        Ok((made.name, made.invitation_token))
    }

    async fn accept(&mut self, token: String, turn: usize) -> Result<(), Status> {
        let acceptor = Some(Acceptor { subject: format!("subject-{turn}"), ..Acceptor::default() });
        let request = AcceptInvitationRequest { token, acceptor, ..AcceptInvitationRequest::default() };
        let answer = self.redemptions.accept_invitation(request).await?.into_inner();
        if answer.already_accepted {
            return Err(Status::unknown("an acceptance of somebody new changed nothing"));
        }
        Ok(())
    }
}
