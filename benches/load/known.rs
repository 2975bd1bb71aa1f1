//! The invitations that are there from the beginning, and the messages that are about them, encoded once.

use bytes::Bytes;
use invitation_service::pb;
use prost::Message as _;
use tokio::task::JoinSet;

use crate::Outcome;
use crate::client::{Client, framed};
use crate::row::{BATCH, Row, batch, connection, connection_of, known_address, seats_of};

/// The number of connection invitations that are read and accepted in turn, and of general ones that are found by address.
pub(crate) const INVITATIONS: usize = 10_000;
/// The number of calls in flight while the invitations are created.
const PREPARING: usize = 64;

/// The number of invitations into scopes that count seats.
const SEATED: usize = 1_000;

/// Names and tokens of invitations.
#[derive(Default)]
pub(crate) struct Known {
    invitations: Vec<Invitation>,
    /// Those into one scope that counts seats, and those into a scope of their own each.
    seated: [Vec<Invitation>; 2],
}

/// The scopes of invitations whose acceptances take seats.
#[derive(Clone, Copy)]
pub(crate) enum Seated {
    OneScope,
    ManyScopes,
}

struct Invitation {
    token: String,
    get: Bytes,
    preview: Bytes,
    forged: Bytes,
}

impl Known {
    /// Creates the invitations, and some of whose messages `pending` wait to be sent.
    pub(crate) async fn create(clients: &[Client], pending: usize, rows: &[Row]) -> Outcome<Self> {
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
        let mut seated = [Vec::new(), Vec::new()];
        for (invitations, row, companies) in [(0, Row::AcceptOneScope, 1), (1, Row::AcceptManyScopes, SEATED)] {
            if rows.contains(&row) {
                seated[invitations] = create_seated(&clients[0], companies).await?;
            }
        }
        Ok(Self { invitations, seated })
    }

    fn at(&self, turn: usize) -> &Invitation {
        &self.invitations[turn % self.invitations.len()]
    }

    pub(crate) fn token(&self, turn: usize) -> &str {
        &self.at(turn).token
    }

    pub(crate) fn seated(&self, scopes: Seated, turn: usize) -> &str {
        let invitations = &self.seated[scopes as usize];
        &invitations[turn % invitations.len()].token
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

/// Creates invitations into the scopes of some companies, in turn, which count seats.
async fn create_seated(client: &Client, companies: usize) -> Outcome<Vec<Invitation>> {
    let company = |number: usize| format!("0190a000-0000-7000-8{:03x}-{companies:012x}", number % companies);
    for number in 0..companies {
        let path = "/invitation.v1.ScopeService/UpdateScopeSettings";
        let answer = client.call(path, framed(&seats_of(&company(number)))).await?;
        if answer.code != 0 {
            return Err(format!("no seats of {}: {}", company(number), answer.sentence).into());
        }
    }
    let mut created = Vec::with_capacity(SEATED);
    for number in 0..SEATED {
        created.push(create_connection(client, &connection_of(&company(number))).await?);
    }
    Ok(created)
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
