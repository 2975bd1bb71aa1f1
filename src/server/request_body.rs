//! The body of a request, read before its handler runs: a large one only when there is room for it.

use std::time::Duration;

use bytes::{Buf as _, Bytes, BytesMut};
use http_body::Body;
use http_body_util::BodyExt as _;
use tokio::time::{Instant, timeout_at};
use tonic::Status;

use super::room::{BytesPlace, Holder, Room, SMALL};
use super::status;

/// The bytes before a message: flags, and its length.
pub(crate) const PREFIX: usize = 5;
/// The flag of a compressed message.
pub(crate) const COMPRESSED: u8 = 1;
/// The flag of a message whose length is not known before its end, and is not that of the prefix. No client of gRPC sends it; the
/// codec refuses it.
pub(crate) const UNKNOWN_LENGTH: u8 = 0x80;

/// The room that a large request takes, in multiples of its size: it is decoded, parsed and made a command.
const TIMES: usize = 16;

/// The time that a client has for the rest of a large request, once there is room for it.
const PATIENCE: Duration = Duration::from_secs(3);

/// The largest request message, in bytes.
pub const MAX_MESSAGE: usize = 1024 * 1024;

/// The largest message of a person, who has room for no larger one. What persons may call takes a few kilobytes.
pub(crate) const MAX_PERSON_MESSAGE: usize = 256 * 1024;

/// Returns the most bytes of a message of a holder.
pub(crate) fn most(holder: &Holder) -> usize {
    if holder.is_person() { MAX_PERSON_MESSAGE } else { MAX_MESSAGE }
}

/// Reads the one message of a request and takes the room for it, and for an answer of a size. A body that is not one message is
/// left as it is, for the codec to refuse.
pub(crate) async fn read<B>(
    mut body: B,
    (room, holder): (&Room, &Holder),
    answer: usize,
) -> Result<(Bytes, Option<BytesPlace>), Status>
where
    B: Body<Data = Bytes> + Unpin,
    B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    let (mut read, mut first) = (BytesMut::new(), Bytes::new());
    let (mut place, mut is_taken, mut rest_until) = (None, false, None);
    let most = most(holder);
    loop {
        if !is_taken && let Some(announced) = announced(&first, &read) {
            let flags = first.first().or(read.first()).copied().unwrap_or_default();
            let size = match flags {
                _ if flags & UNKNOWN_LENGTH != 0 => most,
                _ if flags & COMPRESSED != 0 => decompressed(announced),
                _ => announced,
            };
            if announced.max(size) > most {
                return Err(status::message_too_large(most));
            }
            let is_large = size > SMALL;
            let waiting = if is_large { Some(room.waiting(holder)?) } else { None };
            if is_large {
                place = room.bytes(holder, size.saturating_mul(TIMES).saturating_add(answer)).await;
                rest_until = Some(Instant::now() + PATIENCE);
            }
            drop(waiting);
            is_taken = true;
        }
        let next = match rest_until {
            // Others may be waiting for the room.
            Some(until) => timeout_at(until, body.frame()).await.map_err(|_| status::deadline_exceeded())?,
            None => body.frame().await,
        };
        let Some(frame) = next else { break };
        let frame = frame.map_err(|_| Status::cancelled("the client ended the call"))?;
        let Ok(data) = frame.into_data() else { continue };
        if first.is_empty() && read.is_empty() {
            first = data;
        } else {
            if read.is_empty() {
                read.extend_from_slice(&std::mem::take(&mut first));
            }
            read.extend_from_slice(&data);
        }
        if first.len().max(read.len()) > most + PREFIX {
            return Err(status::message_too_large(most));
        }
    }
    // A client that does not end its request keeps no room for the answer.
    if place.is_none() && answer > 0 {
        place = room.bytes(holder, answer).await;
    }
    // Most requests come in one part, which is not copied.
    Ok((if read.is_empty() { first } else { read.freeze() }, place))
}

/// The times that a compressed message usually grows at most. The codec refuses one that grows beyond the largest message.
const GROWTH: usize = 32;

/// Returns the size for which a compressed message of a length takes room.
fn decompressed(length: usize) -> usize {
    length.saturating_mul(GROWTH).min(MAX_MESSAGE)
}

/// Returns the length that the message has by its prefix, once that is there.
fn announced(first: &Bytes, read: &BytesMut) -> Option<usize> {
    let begun = if read.is_empty() { first.as_ref() } else { read.as_ref() };
    let mut length = begun.get(1..PREFIX)?;
    usize::try_from(length.get_u32()).ok()
}

#[cfg(test)]
mod tests {
    use std::collections::VecDeque;
    use std::convert::Infallible;
    use std::time::Duration;

    use futures_util::TryFutureExt as _;
    use http_body::Frame;
    use http_body_util::StreamBody;
    use tokio::time::timeout;
    use tokio_stream::{StreamExt as _, iter};
    use tonic::Code;

    use super::*;

    fn body(parts: Vec<Vec<u8>>) -> impl Body<Data = Bytes, Error = Infallible> + Unpin {
        let frames: VecDeque<_> = parts.into_iter().map(|part| Ok(Frame::data(Bytes::from(part)))).collect();
        StreamBody::new(iter(frames))
    }

    fn message(length: usize) -> Vec<u8> {
        let prefix = [&[0][..], &u32::try_from(length).unwrap().to_be_bytes()].concat();
        [prefix, vec![7; length]].concat()
    }

    async fn read_parts(parts: Vec<Vec<u8>>) -> Result<(Bytes, Option<BytesPlace>), Status> {
        read(body(parts), (&Room::default(), &Holder::service("a")), 0).await
    }

    #[tokio::test(crate = "crate::limit")]
    async fn body_is_read_as_it_was_sent_in_however_many_parts() {
        for length in [0, 1, SMALL, SMALL + 1, MAX_MESSAGE] {
            let sent = message(length);
            for size in [1_000_000_000, 9_000, 4_097] {
                let parts = sent.chunks(size).map(<[u8]>::to_vec).collect();
                let (read, place) = read_parts(parts).await.unwrap();
                assert_eq!((read.as_ref() == sent, place.is_some()), (true, length > SMALL), "{length} by {size}");
            }
        }
        let (odd, _) = read_parts(vec![vec![0], vec![0, 0], vec![1]]).await.unwrap();
        assert_eq!(odd.as_ref(), [0, 0, 0, 1], "what is no message is left to the codec");
    }

    #[tokio::test(crate = "crate::limit")]
    async fn message_that_is_announced_too_large_is_not_read() {
        let announced = message(MAX_MESSAGE + 1)[..10].to_vec();
        let longer = [message(3), vec![7; MAX_MESSAGE + 6]];
        for parts in [vec![announced], longer.to_vec()] {
            assert_eq!(read_parts(parts).await.unwrap_err().code(), Code::ResourceExhausted);
        }
    }

    #[tokio::test(crate = "crate::limit")]
    async fn message_of_unknown_length_takes_room_for_the_largest() {
        let (room, account) = (Room::default(), Holder::service("a"));
        let mut message = message(SMALL + 1);
        message[..PREFIX].copy_from_slice(&[UNKNOWN_LENGTH, 0, 0, 0, 0]);
        let (_, _place) = read(body(vec![message]), (&room, &account), 0).await.unwrap();
        assert!(timeout(Duration::from_millis(1), room.bytes(&account, SMALL + 1)).await.is_err());
    }

    #[tokio::test(crate = "crate::limit")]
    async fn message_of_a_person_has_to_fit_their_room() {
        let (room, person) = (Room::default(), Holder::person("a", "ann"));
        let sent = |flag: u8, length: usize| {
            let mut message = message(length);
            message[0] = flag;
            read(body(vec![message]), (&room, &person), 0).map_ok(drop)
        };
        sent(0, MAX_PERSON_MESSAGE).await.unwrap();
        sent(1, MAX_PERSON_MESSAGE / GROWTH).await.unwrap();
        for (flag, length) in [(0, MAX_PERSON_MESSAGE + 1), (1, MAX_PERSON_MESSAGE / GROWTH + 1)] {
            assert_eq!(sent(flag, length).await.unwrap_err().code(), Code::ResourceExhausted);
        }
    }

    #[tokio::test(start_paused = true, crate = "crate::limit")]
    async fn request_that_does_not_end_keeps_no_room() {
        let (room, account) = (Room::default(), Holder::service("a"));
        let begun = || {
            let parts = iter([Ok::<_, Infallible>(Frame::data(Bytes::from(message(MAX_MESSAGE)[..5].to_vec())))]);
            StreamBody::new(parts.chain(tokio_stream::pending()))
        };
        let stalled = read(begun(), (&room, &account), 0).await.unwrap_err();
        assert_eq!(stalled.code(), Code::DeadlineExceeded);
        let empty = || {
            let parts = iter([Ok::<_, Infallible>(Frame::data(Bytes::from(message(0))))]);
            StreamBody::new(parts.chain(tokio_stream::pending()))
        };
        let whole = 16 * 1024 * 1024;
        let waiting = tokio::spawn({
            let (room, account) = (room.clone(), account.clone());
            async move { read(empty(), (&room, &account), whole).await.map(drop) }
        });
        tokio::task::yield_now().await;
        timeout(Duration::from_secs(1), room.bytes(&account, whole)).await.expect("nobody holds it");
        waiting.abort();
    }

    #[tokio::test(start_paused = true, crate = "crate::limit")]
    async fn large_message_waits_for_room_before_it_is_read() {
        let (room, account) = (Room::default(), Holder::service("a"));
        let read = || async { read(body(vec![message(MAX_MESSAGE)]), (&room, &account), 0).await.unwrap().1 };
        let one = read().await;
        assert!(timeout(Duration::from_secs(1), read()).await.is_err());
        drop(one);
        assert!(read().await.is_some());
    }
}
