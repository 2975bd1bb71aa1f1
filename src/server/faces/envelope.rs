//! Messages behind a prefix of flags and a length, as gRPC and the streams of Connect have them, and bodies made of such messages.

use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::{Buf as _, BufMut as _, Bytes, BytesMut};
use http::HeaderMap;
use http_body::Frame;
use tonic::Status;
use tonic::body::Body;

use crate::server::request_body::{COMPRESSED, PREFIX, UNKNOWN_LENGTH};
use crate::server::room::SMALL;
use crate::server::status;

/// The flag of the last message of a stream of Connect, which tells how the call ended.
pub(super) const END: u8 = 2;

/// Returns a message behind its prefix.
pub(super) fn envelope(flags: u8, message: &[u8]) -> Bytes {
    let mut enveloped = BytesMut::with_capacity(message.len().saturating_add(PREFIX));
    enveloped.put_u8(flags);
    enveloped.put_u32(u32::try_from(message.len()).unwrap_or(u32::MAX));
    enveloped.put_slice(message);
    enveloped.freeze()
}

/// Takes the first message off a buffer, with its flags; `None` if it is not complete.
fn next(buffer: &mut BytesMut) -> Option<(u8, Bytes)> {
    let flags = *buffer.first()?;
    let message = buffer.get(PREFIX..)?.get(..length(buffer)?)?.len();
    buffer.advance(PREFIX);
    Some((flags, buffer.split_to(message).freeze()))
}

/// Returns the length of the message that a buffer begins with, once that is there.
fn length(buffer: &[u8]) -> Option<usize> {
    let mut length = buffer.get(1..PREFIX)?;
    usize::try_from(length.get_u32()).ok()
}

/// Returns the message of a body that has one, with its flags; `None` if it has not.
pub(super) fn only(body: &Bytes) -> Option<(u8, Bytes)> {
    let message = body.get(PREFIX..)?;
    (length(body)? == message.len()).then(|| (body.first().copied().unwrap_or_default(), body.slice(PREFIX..)))
}

/// A body of one message without a prefix, before which one is put. The prefix decides what room the message takes before it is read,
/// so a message whose length its client does not tell is read to the size that takes none.
pub(super) struct Prefixed {
    body: Body,
    compressed: bool,
    length: Option<u64>,
    begun: BytesMut,
    is_begun: bool,
}

impl Prefixed {
    /// Returns the body with its prefix.
    pub(super) fn body(body: Body, compressed: bool) -> Body {
        let length = http_body::Body::size_hint(&body).exact();
        Body::new(Self { body, compressed, length, begun: BytesMut::new(), is_begun: false })
    }

    fn begin(&mut self, flags: u8, length: u64) -> Bytes {
        self.is_begun = true;
        let compressed = if self.compressed && (length > 0 || flags != 0) { COMPRESSED } else { 0 };
        let mut beginning = BytesMut::with_capacity(self.begun.len().saturating_add(PREFIX));
        beginning.put_u8(flags | compressed);
        beginning.put_u32(u32::try_from(length).unwrap_or(u32::MAX));
        beginning.put_slice(&std::mem::take(&mut self.begun));
        beginning.freeze()
    }
}

impl http_body::Body for Prefixed {
    type Data = Bytes;
    type Error = Status;

    fn poll_frame(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Status>>> {
        if self.is_begun {
            return Pin::new(&mut self.body).poll_frame(context);
        }
        if let Some(length) = self.length {
            return Poll::Ready(Some(Ok(Frame::data(self.begin(0, length)))));
        }
        let beginning = loop {
            match ready!(Pin::new(&mut self.body).poll_frame(context)) {
                Some(Err(broken)) => return Poll::Ready(Some(Err(broken))),
                Some(Ok(frame)) => self.begun.extend_from_slice(&frame.into_data().unwrap_or_default()),
                None => {
                    let length = u64::try_from(self.begun.len()).unwrap_or(u64::MAX);
                    break self.begin(0, length);
                }
            }
            if self.begun.len() > SMALL {
                break self.begin(UNKNOWN_LENGTH, 0);
            }
        };
        Poll::Ready(Some(Ok(Frame::data(beginning))))
    }
}

/// A body each of whose messages is converted as it comes, and behind which a last one may follow that is made of its trailers.
pub(super) struct Converted<C, E> {
    body: Body,
    buffer: BytesMut,
    /// The most bytes of a message.
    most: usize,
    convert: C,
    end: Option<E>,
}

impl<C, E> Converted<C, E>
where
    C: FnMut(u8, Bytes) -> Result<Bytes, Status> + Send + Unpin + 'static,
    E: FnOnce(Option<HeaderMap>) -> Option<Bytes> + Send + Unpin + 'static,
{
    /// Returns the converted body.
    pub(super) fn body(body: Body, most: usize, convert: C, end: E) -> Body {
        Body::new(Self { body, buffer: BytesMut::new(), most, convert, end: Some(end) })
    }

    fn end(&mut self, trailers: Option<HeaderMap>) -> Option<Bytes> {
        self.end.take().and_then(|end| end(trailers))
    }
}

impl<C, E> http_body::Body for Converted<C, E>
where
    C: FnMut(u8, Bytes) -> Result<Bytes, Status> + Send + Unpin + 'static,
    E: FnOnce(Option<HeaderMap>) -> Option<Bytes> + Send + Unpin + 'static,
{
    type Data = Bytes;
    type Error = Status;

    fn poll_frame(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Status>>> {
        loop {
            if length(&self.buffer).is_some_and(|length| length > self.most) {
                return Poll::Ready(Some(Err(status::message_too_large(self.most))));
            }
            if let Some((flags, message)) = next(&mut self.buffer) {
                let converted = (self.convert)(flags, message);
                return Poll::Ready(Some(converted.map(Frame::data)));
            }
            if self.end.is_none() {
                return Poll::Ready(None);
            }
            let last = match ready!(Pin::new(&mut self.body).poll_frame(context)) {
                Some(Err(broken)) => return Poll::Ready(Some(Err(broken))),
                Some(Ok(frame)) => match frame.into_data() {
                    Ok(data) => {
                        self.buffer.extend_from_slice(&data);
                        continue;
                    }
                    Err(frame) => self.end(frame.into_trailers().ok()),
                },
                None => self.end(None),
            };
            if let Some(last) = last {
                return Poll::Ready(Some(Ok(Frame::data(last))));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use futures_util::stream;
    use http_body_util::{BodyExt as _, StreamBody};

    use super::*;

    fn body(parts: Vec<Frame<Bytes>>) -> Body {
        Body::new(StreamBody::new(stream::iter(parts.into_iter().map(Ok::<_, Status>))))
    }

    async fn converted(parts: Vec<Frame<Bytes>>, most: usize) -> Result<Vec<u8>, Status> {
        let convert = |flags, message: Bytes| Ok(envelope(flags, &[&message[..], b"!"].concat()));
        let end = |trailers: Option<HeaderMap>| trailers.map(|trailers| envelope(END, trailers["a"].as_bytes()));
        Converted::body(body(parts), most, convert, end).collect().await.map(|read| read.to_bytes().to_vec())
    }

    #[tokio::test(crate = "crate::limit")]
    async fn messages_are_converted_in_however_many_parts_they_come() {
        let sent = [envelope(0, b"one"), envelope(1, b""), envelope(0, b"three")].concat();
        let expected = [envelope(0, b"one!"), envelope(1, b"!"), envelope(0, b"three!")].concat();
        let trailers: HeaderMap = [(http::HeaderName::from_static("a"), "b".parse().unwrap())].into_iter().collect();
        for size in [1, 4, 7, 100] {
            let data = || sent.chunks(size).map(|part| Frame::data(Bytes::copy_from_slice(part)));
            assert_eq!(converted(data().collect(), 5).await.unwrap(), expected, "{size}");
            let with_trailers = data().chain([Frame::trailers(trailers.clone())]).collect();
            let ended = converted(with_trailers, 5).await.unwrap();
            assert_eq!(ended, [&expected[..], &envelope(END, b"b")].concat(), "{size}");
            assert!(converted(data().collect(), 4).await.is_err(), "the third is too large");
        }
        assert!(converted(vec![Frame::data(Bytes::from_static(&[0, 0, 0, 0, 3, 1]))], 5).await.unwrap().is_empty());
    }

    #[tokio::test(crate = "crate::limit")]
    async fn prefix_has_the_length_as_far_as_it_is_known() {
        let prefixed = async |message: Vec<u8>, is_known: bool, compressed: bool| {
            let parts = message.chunks(1_000).map(|part| Frame::data(Bytes::copy_from_slice(part))).collect();
            let whole = Body::new(http_body_util::Full::new(Bytes::from(message.clone())));
            let sent = Prefixed::body(if is_known { whole } else { body(parts) }, compressed);
            let sent = sent.collect().await.unwrap().to_bytes();
            assert_eq!(sent[PREFIX..], message);
            (sent[0], usize::try_from((&sent[1..]).get_u32()).unwrap())
        };
        for (size, is_known, compressed, prefix) in [
            (0, true, true, (0, 0)),
            (0, false, true, (0, 0)),
            (3, true, false, (0, 3)),
            (SMALL, false, false, (0, SMALL)),
            (SMALL, false, true, (COMPRESSED, SMALL)),
            (3 * SMALL, true, true, (COMPRESSED, 3 * SMALL)),
            (SMALL + 1, false, false, (UNKNOWN_LENGTH, 0)),
            (3 * SMALL, false, true, (UNKNOWN_LENGTH | COMPRESSED, 0)),
        ] {
            assert_eq!(prefixed(vec![7; size], is_known, compressed).await, prefix, "{size} {is_known} {compressed}");
        }
    }

    #[test]
    fn body_of_one_message_is_nothing_else() {
        assert_eq!(only(&envelope(1, b"one")), Some((1, Bytes::from_static(b"one"))));
        assert_eq!(only(&envelope(0, b"")), Some((0, Bytes::new())));
        let twice = Bytes::from([envelope(0, b"one"), envelope(0, b"two")].concat());
        for body in [Bytes::new(), Bytes::from_static(&[0; 4]), envelope(0, b"one").slice(..7), twice] {
            assert_eq!(only(&body), None, "{body:?}");
        }
    }
}
