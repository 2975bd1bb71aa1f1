//! The invitations that are there from the beginning, and the messages that are about them, encoded once.

use bytes::Bytes;
use invitation_service::pb;
use prost::Message as _;
use tokio::task::JoinSet;

use crate::Outcome;
use crate::client::{Client, framed};
use crate::row::{BATCH, Row, batch, connection, known_address};

/// The number of connection invitations that are read and accepted in turn, and of general ones that are found by address.
pub(crate) const INVITATIONS: usize = 10_000;
/// The number of calls in flight while the invitations are created.
const PREPARING: usize = 64;

/// Names and tokens of invitations.
#[derive(Default)]
pub(crate) struct Known {
    invitations: Vec<Invitation>,
}

struct Invitation {
    token: String,
    get: Bytes,
    preview: Bytes,
    forged: Bytes,
}

impl Known {
    /// Creates the invitations, and some of whose messages `pending` wait to be sent.
    pub(crate) async fn create(clients: &[Client], pending: usize) -> Outcome<Self> {
        for _ in 0..pending / 1_000 {
            let addresses = (0..1_000).map(|number| format!("waiting-{number}@example.org")).collect();
            create_connection(&clients[0], &connection(addresses, true)).await?;
        }
        let mut creating = JoinSet::new();
        for task in 0..PREPARING {
            let client = clients[task % clients.len()].clone();
            creating.spawn(async move {
                for first in (task * BATCH..INVITATIONS).step_by(PREPARING * BATCH) {
                    let message = framed(&batch((first..first + BATCH).map(known_address)));
                    Row::Batch.check(&client.call(Row::Batch.path(), message).await?)?;
                }
                let mut created = Vec::new();
                for _ in (task..INVITATIONS).step_by(PREPARING) {
                    created.push(create_connection(&client, &connection(Vec::new(), false)).await?);
                }
                Outcome::Ok(created)
            });
        }
        let mut invitations = Vec::new();
        while let Some(created) = creating.join_next().await {
            invitations.extend(created??);
        }
        Ok(Self { invitations })
    }

    fn at(&self, turn: usize) -> &Invitation {
        &self.invitations[turn % self.invitations.len()]
    }

    pub(crate) fn token(&self, turn: usize) -> &str {
        &self.at(turn).token
    }

    pub(crate) fn get(&self, turn: usize) -> Bytes {
        self.at(turn).get.clone()
    }

    pub(crate) fn preview(&self, turn: usize) -> Bytes {
        self.at(turn).preview.clone()
    }

    /// Returns the preview of a token that has the form of one, and a MAC of another.
    pub(crate) fn forged(&self, turn: usize) -> Bytes {
        self.at(turn).forged.clone()
    }
}

async fn create_connection(client: &Client, request: &pb::CreateConnectionInvitationRequest) -> Outcome<Invitation> {
    let answer = client.call(Row::Create.path(), framed(request)).await?;
    Row::Create.check(&answer)?;
    let created = pb::ConnectionInvitation::decode(answer.message)?;
    let token = created.invitation_token;
    let preview = |token: String| framed(&pb::PreviewInvitationRequest { token });
    Ok(Invitation {
        get: framed(&pb::GetConnectionInvitationRequest { name: created.name }),
        preview: preview(token.clone()),
        forged: preview(forge(&token)),
        token,
    })
}

/// Changes a character in the last quarter of a token, where its MAC is.
fn forge(token: &str) -> String {
    let place = token.len() - token.len() / 8;
    let other = |byte: u8| if byte == b'A' { 'B' } else { 'A' };
    token.bytes().enumerate().map(|(at, byte)| if at == place { other(byte) } else { char::from(byte) }).collect()
}
