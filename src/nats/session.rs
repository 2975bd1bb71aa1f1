//! One connection to NATS, from its beginning to the first failure. Its errors name servers, and never credentials.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::time::Duration;

use async_nats::jetstream::context::{CreateStreamErrorKind, PublishErrorKind};
use async_nats::jetstream::{self, Context, stream};
use async_nats::{ConnectError, ConnectOptions, HeaderMap, ServerAddr};
use futures_util::future::try_join_all;
use percent_encoding::percent_decode_str;
use secrecy::ExposeSecret;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;
use url::Url;

use crate::config::NatsConfig;
use crate::domain::invitation::event::{Event, EventFormat};
use crate::domain::value::id::InvitationId;
use crate::event_json::{NoJson, encoded_event};
use crate::store::PositionedEvent;
use crate::telemetry::cause;
use crate::telemetry::traces::{Span, TRACEPARENT};

/// The time limit of an answer of the server.
const ANSWER: Duration = Duration::from_secs(5);
/// The time for which a stream that this service creates drops duplicates; longer than a lease lasts.
const DUPLICATES: Duration = Duration::from_secs(120);
/// The number of events of one invitation, which are sent one after another, that are published before the cursor moves on.
const IN_A_ROW: usize = 16;

/// The reason why a session ended.
#[derive(Debug, thiserror::Error)]
pub(crate) enum SessionError {
    /// There is no connection to be had.
    #[error("no connection to NATS at {0}: {1}: check events.nats_url, and that the server runs")]
    Connect(String, String),
    /// The server cannot prove its name.
    #[error("no connection to NATS at {0}: the server's certificate is not valid for us")]
    Certificate(String),
    /// The stream is not there and cannot be made.
    #[error("the NATS stream can be neither opened nor created: {0}")]
    Stream(CreateStreamErrorKind),
    /// An event was not taken.
    #[error("NATS did not acknowledge an event: {0}")]
    Publish(PublishErrorKind),
    /// An event has no JSON.
    #[error(transparent)]
    Json(#[from] NoJson),
    /// The connection broke.
    #[error("the connection to NATS is lost")]
    Lost,
    /// The server did not answer in time.
    #[error("NATS does not answer in time")]
    Silent,
    /// The servers did not answer in time.
    #[error("NATS at {0} does not answer in time: check events.nats_url, and firewalls on the way")]
    Unanswered(String),
}

/// Describes the failure of a connection. What the system says about it names no credential.
fn unconnected(servers: &str, error: &ConnectError) -> SessionError {
    let servers = servers.to_owned();
    match (cause::find::<rustls::Error>(error), cause::find::<std::io::Error>(error)) {
        (Some(rustls::Error::InvalidCertificate(_)), _) => SessionError::Certificate(servers),
        (_, Some(reason)) => SessionError::Connect(servers, reason.to_string()),
        (_, None) => SessionError::Connect(servers, error.kind().to_string()),
    }
}

/// Returns the hosts and ports of servers.
fn names(servers: &[ServerAddr]) -> String {
    servers.iter().map(|server| format!("{}:{}", server.host(), server.port())).collect::<Vec<_>>().join(", ")
}

/// Connects and returns the names of the servers, of which one answers.
pub(crate) async fn try_connect(config: &NatsConfig) -> Result<String, SessionError> {
    let (servers, options) = servers(config.url.expose_secret())?;
    let names = names(&servers);
    let options = options.name("invitation-service").connection_timeout(ANSWER).ignore_discovered_servers();
    let connected = timeout(ANSWER * 2, options.connect(servers)).await;
    let connected = connected.map_err(|_| SessionError::Unanswered(names.clone()))?;
    connected.map_err(|error| unconnected(&names, &error))?;
    Ok(names)
}

/// A connection with its stream.
pub(crate) struct Session {
    context: Context,
    subject: String,
    format: EventFormat,
    lost: CancellationToken,
}

impl Session {
    /// Connects, and creates the stream if it does not exist.
    pub(crate) async fn open(config: &NatsConfig) -> Result<Self, SessionError> {
        let lost = CancellationToken::new();
        let (servers, options) = servers(config.url.expose_secret())?;
        let told = lost.clone();
        let options = options
            .name("invitation-service")
            .connection_timeout(ANSWER)
            .ping_interval(Duration::from_secs(10))
            // A connection that is lost is given up; this only lets the library's own attempts end.
            .max_reconnects(1)
            // A server names others before the connection is encrypted: whoever sits in between could name their own.
            .ignore_discovered_servers()
            .event_callback(move |event| {
                if matches!(event, async_nats::Event::Disconnected | async_nats::Event::Closed) {
                    told.cancel();
                }
                std::future::ready(())
            });
        let names = names(&servers);
        let connected = timeout(ANSWER * 2, options.connect(servers)).await;
        let connected = connected.map_err(|_| SessionError::Unanswered(names.clone()))?;
        let mut context = jetstream::new(connected.map_err(|error| unconnected(&names, &error))?);
        context.set_timeout(ANSWER);
        let wanted = stream::Config {
            name: config.stream.clone(),
            subjects: vec![format!("{}.>", config.subject)],
            duplicate_window: DUPLICATES,
            ..stream::Config::default()
        };
        let made = context.get_or_create_stream(wanted).await;
        made.map_err(|error| SessionError::Stream(error.kind()))?;
        Ok(Self { context, subject: config.subject.clone(), format: config.format, lost })
    }

    /// Publishes events and returns when all are acknowledged. An event is sent after the one before it of the same invitation
    /// was acknowledged, so that no failure puts them in another order; those of different invitations are sent together.
    pub(crate) async fn publish(&self, events: &[Arc<PositionedEvent>]) -> Result<(), SessionError> {
        for wave in waves(events) {
            let sent = try_join_all(wave.into_iter().map(|event| self.publish_one(event)));
            tokio::select! {
                () = self.lost.cancelled() => return Err(SessionError::Lost),
                sent = timeout(ANSWER, sent) => sent.map_err(|_| SessionError::Silent)??,
            };
        }
        Ok(())
    }

    async fn publish_one(&self, event: &Event) -> Result<(), SessionError> {
        let subject = format!("{}.{}", self.subject, event.event.type_name());
        let mut headers = HeaderMap::new();
        headers.insert(async_nats::header::NATS_MESSAGE_ID, event.event.id.to_string());
        let encoded = encoded_event(event, self.format)?;
        match self.format {
            EventFormat::ProtoJson => {}
            EventFormat::CloudEventsStructured => headers.insert("Content-Type", encoded.content_type),
            EventFormat::CloudEventsBinary => headers.insert("ce-datacontenttype", encoded.content_type),
        }
        for (name, value) in encoded.headers {
            headers.insert(name, value);
        }
        let span = Span::of_event("nats", event.event.id, event.traceparent.as_deref());
        if let Some(traceparent) = span.traceparent() {
            headers.insert(TRACEPARENT, traceparent);
        }
        let failed = |error: jetstream::context::PublishError| {
            span.fail("not published");
            SessionError::Publish(error.kind())
        };
        let sent = self.context.publish_with_headers(subject, headers, encoded.body.into()).await.map_err(failed)?;
        sent.await.map_err(failed).map(drop)
    }
}

/// Cuts events, in their order, so that no part takes long: none has more than a few of one invitation.
pub(crate) fn prefixes(events: &[Arc<PositionedEvent>]) -> impl Iterator<Item = &[Arc<PositionedEvent>]> {
    let mut left = events;
    std::iter::from_fn(move || {
        let mut seen: HashMap<InvitationId, usize> = HashMap::new();
        let too_many = |ordered: &Arc<PositionedEvent>| {
            let count = seen.entry(ordered.event.event.invitation).or_default();
            *count += 1;
            *count > IN_A_ROW
        };
        let end = left.iter().position(too_many).unwrap_or(left.len());
        let (prefix, rest) = left.split_at(end);
        left = rest;
        (!prefix.is_empty()).then_some(prefix)
    })
}

/// Parts events so that no part has two of one invitation, the earlier in the earlier part.
fn waves(events: &[Arc<PositionedEvent>]) -> Vec<Vec<&Event>> {
    let mut seen: HashMap<InvitationId, usize> = HashMap::new();
    let mut waves: BTreeMap<usize, Vec<&Event>> = BTreeMap::new();
    for ordered in events {
        let before = seen.entry(ordered.event.event.invitation).or_default();
        waves.entry(*before).or_default().push(&ordered.event);
        *before += 1;
    }
    waves.into_values().collect()
}

/// Splits a checked list of servers from the credentials in it: those of the first that has some are for all.
fn servers(urls: &str) -> Result<(Vec<ServerAddr>, ConnectOptions), SessionError> {
    let malformed = SessionError::Connect("events.nats_url".to_owned(), "it is no list of servers".to_owned());
    let urls: Result<Vec<Url>, _> = urls.split(',').map(|url| Url::parse(url.trim())).collect();
    let Ok(urls) = urls else { return Err(malformed) };
    let needs_tls = urls.iter().all(|url| url.scheme() == "tls");
    let options = match urls.iter().find(|url| !url.username().is_empty()) {
        None => ConnectOptions::new(),
        Some(url) => {
            let user = decoded(url.username());
            match url.password() {
                Some(password) => ConnectOptions::with_user_and_password(user, decoded(password)),
                None => ConnectOptions::with_token(user),
            }
        }
    };
    let servers: Result<Vec<_>, _> = urls.into_iter().map(ServerAddr::from_url).collect();
    servers.map(|servers| (servers, options.require_tls(needs_tls))).map_err(|_| malformed)
}

fn decoded(text: &str) -> String {
    percent_decode_str(text).decode_utf8_lossy().into_owned()
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;
    use crate::domain::invitation::event::{EventType, StoredEvent};
    use crate::domain::invitation::state::State;
    use crate::domain::kind::Kind;
    use crate::domain::value::text::AccountId;
    use crate::domain::value::time::Timestamp;

    fn event(invitation: u128, sequence: i64) -> Arc<PositionedEvent> {
        let event = StoredEvent {
            id: Uuid::nil(),
            account: AccountId::parse("acme").unwrap(),
            invitation: InvitationId(Uuid::from_u128(invitation)),
            kind: Kind::Connection.into(),
            event_type: EventType::Viewed.into(),
            time: Timestamp::from_micros(0),
            actor: String::new(),
            request_id: None,
            state: State::Active.into(),
            scope: None,
            pass_through: None,
            payload: None,
        };
        Arc::new(PositionedEvent {
            event: Event { event, sequence, position: Some(1), traceparent: None },
            position: 1,
            host: None,
        })
    }

    #[test]
    fn wave_has_one_event_of_an_invitation_and_waves_keep_order() {
        let events = [(1, 1), (2, 5), (1, 2), (3, 1), (1, 3), (2, 6)].map(|(id, sequence)| event(id, sequence));
        let waves: Vec<Vec<_>> = waves(&events)
            .iter()
            .map(|wave| wave.iter().map(|one| (one.event.invitation.0.as_u128(), one.sequence)).collect())
            .collect();
        assert_eq!(waves, [vec![(1, 1), (2, 5), (3, 1)], vec![(1, 2), (2, 6)], vec![(1, 3)]]);
    }

    #[test]
    fn parts_have_few_events_of_one_invitation_and_keep_order() {
        let one_by_one: Vec<_> = (1..=40).flat_map(|n| [event(1, n), event(n.unsigned_abs().into(), 100)]).collect();
        let prefixes: Vec<_> = prefixes(&one_by_one).collect();
        assert_eq!(prefixes.concat().len(), one_by_one.len());
        assert!(prefixes.concat().iter().zip(&one_by_one).all(|(cut, whole)| Arc::ptr_eq(cut, whole)));
        assert!(prefixes.iter().all(|prefix| waves(prefix).len() <= IN_A_ROW));
        assert_eq!(prefixes.len(), 3);
        assert_eq!(super::prefixes(&[]).count(), 0);
    }

    #[test]
    fn credentials_are_taken_from_the_url_as_they_were_before_it() {
        for (encoded, plain) in [("abc", "abc"), ("a%40b", "a@b"), ("a+b%2Fc%25", "a+b/c%"), ("x&y=z", "x&y=z")] {
            assert_eq!(decoded(encoded), plain);
        }
        let (servers, _) = servers("nats://u:p@one:4222, tls://two").unwrap();
        assert_eq!(servers.iter().map(|server| server.host().to_owned()).collect::<Vec<_>>(), ["one", "two"]);
    }
}
