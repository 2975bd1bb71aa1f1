//! Clients that create invitations as fast as they can and keep book of what they were told.

use std::collections::{BTreeMap, HashSet};
use std::sync::Arc;
use std::time::{Duration, Instant};

use invitation_service::pb;
use invitation_service::pb::connection_invitation_service_client::ConnectionInvitationServiceClient;
use tokio::sync::watch;
use tokio::task::JoinSet;
use tonic::transport::Channel;
use tonic::{Code, Status};

use super::server::{PATIENCE, Server};

/// Any company.
pub(super) const COMPANY: &str = "01920000-0000-7000-8000-00000000c0de";

/// The wait of a refused client, as RetryInfo asks for it.
const BACKOFF: Duration = Duration::from_millis(20);

/// A client of one method.
#[derive(Clone)]
pub(super) struct Create(ConnectionInvitationServiceClient<Channel>);

impl Create {
    pub(super) fn new(channel: Channel) -> Self {
        Self(ConnectionInvitationServiceClient::new(channel))
    }

    /// Creates the smallest invitation there is.
    pub(super) async fn one(&mut self) -> Result<pb::ConnectionInvitation, Status> {
        self.with_request_id("").await
    }

    /// Creates it once, however often this is called.
    pub(super) async fn with_request_id(&mut self, request_id: &str) -> Result<pb::ConnectionInvitation, Status> {
        let invitation = pb::ConnectionInvitation { company_id: COMPANY.to_owned(), ..Default::default() };
        let request = pb::CreateConnectionInvitationRequest {
            connection_invitation: Some(invitation),
            request_id: request_id.to_owned(),
            ..Default::default()
        };
        self.0.create_connection_invitation(request).await.map(tonic::Response::into_inner)
    }
}

/// The answers to the clients.
#[derive(Default)]
pub(super) struct Book {
    /// The names of what they made.
    pub(super) acknowledged: Vec<String>,
    /// The number of each refusal, with one of its texts.
    pub(super) refused: BTreeMap<i32, (usize, String)>,
    /// The longest that one of them waited for any answer.
    pub(super) longest: Duration,
}

impl Book {
    /// Asserts that whoever was not served was told to try again, and nothing else.
    #[track_caller]
    pub(super) fn only_unavailable(&self) {
        let others = self.refused.keys().any(|code| Code::from(*code) != Code::Unavailable);
        assert!(!others, "{:#?}", self.refused);
    }

    /// Asserts that everything that clients were told is there.
    #[track_caller]
    pub(super) fn none_lost(&self, kept: &HashSet<String>) {
        let lost = self.acknowledged.iter().filter(|name| !kept.contains(*name)).count();
        assert_eq!(lost, 0, "of {} acknowledged invitations", self.acknowledged.len());
    }

    fn add(&mut self, other: Self) {
        self.acknowledged.extend(other.acknowledged);
        self.longest = self.longest.max(other.longest);
        for (code, (count, text)) in other.refused {
            self.refused.entry(code).or_insert((0, text)).0 += count;
        }
    }
}

/// Clients at work.
pub(super) struct Load {
    clients: JoinSet<Book>,
    stop: watch::Sender<bool>,
    /// The creates that were acknowledged, and the calls that were refused.
    counted: watch::Receiver<(usize, usize)>,
}

impl Load {
    /// Lets so many clients on two connections create until they are stopped.
    pub(super) async fn start(server: &Server, clients: usize) -> Self {
        let (stop, stopped) = watch::channel(false);
        let (counter, counted) = watch::channel((0, 0));
        let counter = Arc::new(counter);
        let mut tasks = JoinSet::new();
        let channels = [server.create().await, server.create().await];
        for create in channels.iter().cycle().take(clients) {
            tasks.spawn(client(create.clone(), stopped.clone(), Arc::clone(&counter)));
        }
        Self { clients: tasks, stop, counted }
    }

    /// Waits until so many more creates have been acknowledged.
    pub(super) async fn go_on_for(&mut self, count: usize) {
        let goal = self.counted.borrow().0 + count;
        let reached = self.counted.wait_for(|(acknowledged, _)| *acknowledged >= goal);
        tokio::time::timeout(PATIENCE, reached).await.expect("the load goes on").unwrap();
    }

    /// Waits until a call has been refused.
    pub(super) async fn until_refused(&mut self) {
        let reached = self.counted.wait_for(|(_, refused)| *refused > 0);
        tokio::time::timeout(PATIENCE, reached).await.expect("a call is refused").unwrap();
    }

    /// Ends the load and adds the books up.
    pub(super) async fn stop(self) -> Book {
        self.stop.send_replace(true);
        let mut sum = Book::default();
        for book in self.clients.join_all().await {
            sum.add(book);
        }
        sum
    }
}

async fn client(
    mut create: Create,
    stopped: watch::Receiver<bool>,
    counter: Arc<watch::Sender<(usize, usize)>>,
) -> Book {
    let mut book = Book::default();
    while !*stopped.borrow() {
        let started = Instant::now();
        let answer = create.one().await;
        book.longest = book.longest.max(started.elapsed());
        match answer {
            Ok(made) => {
                book.acknowledged.push(made.name);
                counter.send_modify(|(acknowledged, _)| *acknowledged += 1);
            }
            Err(status) => {
                let code = if never_sent(&status) { Code::Unavailable } else { status.code() };
                book.refused.entry(code as i32).or_insert((0, status.to_string())).0 += 1;
                counter.send_modify(|(_, refused)| *refused += 1);
                tokio::time::sleep(BACKOFF).await;
            }
        }
    }
    book
}

/// Whether a call was still waiting inside of the client when its connection closed, or came to it behind the server's GOAWAY. The
/// client's own words for that are CANCELLED and INTERNAL; the server never saw the call.
fn never_sent(status: &Status) -> bool {
    let text = status.to_string();
    status.code() == Code::Cancelled && text.contains("hyper::Error(Canceled, \"connection closed\")")
        || status.code() == Code::Internal && text.contains("kind: GoAway(b\"\", NO_ERROR, Remote)")
}

/// The names of all invitations that a server has.
pub(super) async fn kept(server: &Server) -> HashSet<String> {
    let mut client = ConnectionInvitationServiceClient::new(server.channel().await);
    let mut names = HashSet::new();
    let mut page_token = String::new();
    loop {
        let request = pb::ListConnectionInvitationsRequest {
            company_id: COMPANY.to_owned(),
            page_size: 1_000,
            page_token,
            ..Default::default()
        };
        let page = client.list_connection_invitations(request).await.unwrap().into_inner();
        names.extend(page.connection_invitations.into_iter().map(|invitation| invitation.name));
        page_token = page.next_page_token;
        if page_token.is_empty() {
            return names;
        }
    }
}
