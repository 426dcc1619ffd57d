//! One HTTP/1.1 connection to a server: a request written and its reply read, by whoever waits for it.
//!
//! It has no task of its own: nothing of a reply crosses a channel, and nobody is woken but who asked. What a server
//! does to an idle connection shows when it is taken up again. Replies are read by [`wire`](crate::wire), so what a
//! client library would repair in silence breaks the exchange here, and the connection is not used again.

use std::future::poll_fn;
use std::io;
use std::net::SocketAddr;
use std::pin::{Pin, pin};
use std::task::{Context, Poll, Waker, ready};

use bytes::buf::Chain;
use bytes::{Buf, Bytes, BytesMut};
use http::Method;
use http_body::{Body as HttpBody, Frame, SizeHint};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, ReadBuf};

use crate::dial::connection::Facts;
use crate::dial::connection::Unanswered;
use crate::dial::message::{Message, Upload};
use crate::fault::{Fault, FaultKind};
use crate::metrics::{Gauged, Upstreams};
use crate::wire;
use crate::wire::{
    AnswerHead, AnswerReader, CHUNK_END, ChunkedReader, Content, Disbelief, Framing, LAST_CHUNK,
    Piece,
};

/// The most bytes of a response's head: four times what common servers accept in requests.
pub(super) const MAX_HEAD: usize = 64 * 1024;

/// The most header lines of a response. Servers send about 15; browsers stop reading at several hundred.
const MAX_HEADERS: usize = 100;

/// The most interim answers (RFC 9110 §15.2) to a request. Servers have one or two to give.
const MAX_INTERIM: usize = 8;

/// Room for a read: most replies of APIs fit, head and all.
const ROOM: usize = 8 * 1024;

/// Room for a read of a reply that filled the last one. It is the most that is held of a reply for a slow client.
const LARGE_ROOM: usize = 64 * 1024;

/// What a server is connected by.
pub(super) trait Duplex: AsyncRead + AsyncWrite + Send + Unpin {}
impl<T: AsyncRead + AsyncWrite + Send + Unpin> Duplex for T {}

/// Carries one request at a time. Dropping it closes it at once, also in the middle of a request.
pub(super) struct Http1 {
    stream: Box<dyn Duplex>,
    /// Read, and not taken yet.
    ahead: BytesMut,
    heads: AnswerReader,
    /// What is not written yet of the request.
    sending: Option<Sending>,
    /// What has not come yet of the reply.
    rest: Rest,
    /// Whether another request may follow, as far as both sides have said.
    keeps: bool,
    room: usize,
    pub(super) facts: Facts,
    /// While the pool has it.
    idle: Option<Gauged>,
    _open: Gauged,
}

/// A request on its way out.
struct Sending {
    /// A body that is not in hand, as long as it has more to give.
    stream: Option<Upload>,
    /// Written before anything else of it.
    waiting: Waiting,
    framing: Framing,
    /// Of a streamed body that says its length.
    left: u64,
    /// Whether any byte has left.
    begun: bool,
}

/// Up to three pieces that leave in one write.
type Waiting = Chain<Chain<BytesMut, Bytes>, Bytes>;

/// What has not come yet of a reply.
#[derive(Debug)]
enum Rest {
    /// Nothing, and no request is under way.
    Over,
    Length(u64),
    Chunks(Box<ChunkedReader>),
    UntilClose,
    /// Where the next reply would start is not known.
    Broken,
}

/// Why there is no reply.
enum Failure {
    /// The connection ended; whether anything of a reply had come.
    Ended(io::Error, bool),
    Unbelieved(Disbelief),
    Flooded,
    /// The request's own body broke off.
    Upload(Fault),
}

impl Http1 {
    /// Takes over an open stream.
    pub(super) fn new(stream: Box<dyn Duplex>, facts: Facts, counted: &Upstreams) -> Self {
        Self {
            stream,
            ahead: BytesMut::new(),
            heads: AnswerReader::new(MAX_HEAD, MAX_HEADERS),
            sending: None,
            rest: Rest::Over,
            keeps: true,
            room: ROOM,
            facts,
            idle: None,
            _open: counted.open(),
        }
    }

    /// Sends a request, and waits for the head of its reply. Content follows with [`Http1::poll_frame`]. A body that is
    /// not in hand is taken out of the message, and put back if nothing was written.
    pub(super) async fn send(
        &mut self,
        message: &mut Message,
    ) -> Result<AnswerHead, Box<Unanswered>> {
        self.sending = Some(Sending::of(message));
        self.rest = Rest::Broken;
        let mut interim = 0;
        let head = poll_fn(|context| self.poll_answer(context, &mut interim)).await;
        let head = head.and_then(|head| {
            let content = head.content(&message.method);
            self.expect(content.map_err(Failure::Unbelieved)?, &head);
            Ok(head)
        });
        head.map_err(|failure| Box::new(self.unanswered(failure, message)))
    }

    /// All of the reply's content, where it came with its head.
    pub(super) fn take_content(&mut self) -> Option<Bytes> {
        let Rest::Length(left) = self.rest else {
            return None;
        };
        let length = usize::try_from(left).ok()?;
        if length > self.ahead.len() || self.sending.is_some() {
            return None;
        }
        self.rest = Rest::Over;
        Some(self.ahead.split_to(length).freeze())
    }

    /// The next frame of the reply's content. What is left of the request goes on being sent meanwhile.
    pub(super) fn poll_frame(
        &mut self,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Fault>>> {
        if let Poll::Ready(Err(Failure::Upload(fault))) = self.poll_send(context) {
            return self.break_off(fault);
        }
        loop {
            match self.piece() {
                Ok(Some(Piece::Data(data))) => return Poll::Ready(Some(Ok(Frame::data(data)))),
                Ok(Some(Piece::End)) => return Poll::Ready(self.end().map(Ok)),
                Ok(None) => {}
                Err(reason) => return self.break_off(self.broke_off(reason)),
            }
            match (ready!(self.poll_fill(context)), &self.rest) {
                (Ok(0), Rest::UntilClose) => self.rest = Rest::Over,
                (Ok(0), _) => {
                    return self.break_off(self.broke_off("the connection ended before its end"));
                }
                (Ok(_), _) => {}
                (Err(error), _) => return self.break_off(self.broke_off(&error.to_string())),
            }
        }
    }

    /// Whether the reply is over.
    pub(super) fn is_over(&self) -> bool {
        matches!(self.rest, Rest::Over)
    }

    /// What is to come of the reply.
    pub(super) fn size_hint(&self) -> SizeHint {
        match &self.rest {
            Rest::Over => SizeHint::with_exact(0),
            Rest::Length(left) => SizeHint::with_exact(*left),
            Rest::Chunks(_) | Rest::UntilClose | Rest::Broken => SizeHint::default(),
        }
    }

    /// Whether request and reply are over, both ways, and another request may follow. A server that answers without
    /// reading all of a request would read the rest of it as the next one.
    pub(super) fn may_be_kept(&self) -> bool {
        self.keeps && self.is_over() && self.sending.is_none() && self.ahead.is_empty()
    }

    /// Whether the server has neither closed it nor said anything since it was last used.
    pub(super) fn is_quiet(&mut self) -> bool {
        let mut context = Context::from_waker(Waker::noop());
        let mut byte = [0];
        let mut said = ReadBuf::new(&mut byte);
        let reading = Pin::new(&mut self.stream).poll_read(&mut context, &mut said);
        reading.is_pending()
    }

    /// The pool keeps it.
    pub(super) fn parked(&mut self, counted: &Upstreams) {
        // What it has room for is for requests, of which it has none.
        self.ahead = BytesMut::new();
        self.idle = Some(counted.idle());
    }

    /// Somebody uses it again.
    pub(super) fn taken(&mut self) {
        self.idle = None;
    }

    /// The stream and what was read ahead of it, for another protocol.
    pub(super) fn into_parts(self) -> (Box<dyn Duplex>, Bytes) {
        (self.stream, self.ahead.freeze())
    }

    /// An early answer is an answer: reading goes on while the request is still being written.
    fn poll_answer(
        &mut self,
        context: &mut Context<'_>,
        interim: &mut usize,
    ) -> Poll<Result<AnswerHead, Failure>> {
        if let Poll::Ready(Err(failure @ Failure::Upload(_))) = self.poll_send(context) {
            return Poll::Ready(Err(failure));
        }
        loop {
            match self.heads.read(&mut self.ahead) {
                Ok(None) => {}
                Ok(Some(head)) if is_interim(&head) && *interim == MAX_INTERIM => {
                    return Poll::Ready(Err(Failure::Flooded));
                }
                Ok(Some(head)) if is_interim(&head) => {
                    // It has no content: what would be that is no head.
                    if let Err(reason) = head.content(&Method::GET) {
                        return Poll::Ready(Err(Failure::Unbelieved(reason)));
                    }
                    *interim += 1;
                    continue;
                }
                Ok(Some(head)) => return Poll::Ready(Ok(head)),
                Err(reason) => return Poll::Ready(Err(Failure::Unbelieved(reason))),
            }
            let has_begun = !self.ahead.is_empty() || *interim > 0;
            match ready!(self.poll_fill(context)) {
                Ok(0) => {
                    let ended = io::ErrorKind::UnexpectedEof.into();
                    return Poll::Ready(Err(Failure::Ended(ended, has_begun)));
                }
                Ok(_) => {}
                Err(error) => return Poll::Ready(Err(Failure::Ended(error, has_begun))),
            }
        }
    }

    /// Writes what can be written. Where the server takes no more, what it says about that is still read.
    fn poll_send(&mut self, context: &mut Context<'_>) -> Poll<Result<(), Failure>> {
        let Some(sending) = &mut self.sending else {
            return Poll::Ready(Ok(()));
        };
        let sent = ready!(sending.poll(&mut self.stream, context));
        match sent {
            Ok(()) => self.sending = None,
            Err(Failure::Upload(fault)) => return Poll::Ready(Err(Failure::Upload(fault))),
            // What is unsent stays, so that it can be sent elsewhere.
            Err(_) => self.keeps = false,
        }
        Poll::Ready(Ok(()))
    }

    fn expect(&mut self, content: Content, head: &AnswerHead) {
        // Who answers before all of a request has left may read the rest of it as the next one.
        self.keeps &= self.sending.is_none();
        self.keeps &= head.keeps_alive() && content != Content::UntilClose;
        self.rest = match content {
            Content::None => Rest::Over,
            Content::Length(length) => Rest::Length(length),
            Content::Chunked => Rest::Chunks(Box::new(ChunkedReader::of_reply())),
            Content::UntilClose => Rest::UntilClose,
        };
    }

    /// The next piece that has come.
    fn piece(&mut self) -> Result<Option<Piece>, Disbelief> {
        let available = self.ahead.len();
        let taken = match &mut self.rest {
            Rest::Over => return Ok(Some(Piece::End)),
            Rest::Broken => return Err("it broke off before"),
            Rest::Chunks(reader) => {
                return reader.read(&mut self.ahead).map_err(|it| it.reason());
            }
            _ if available == 0 => return Ok(None),
            Rest::UntilClose => available,
            Rest::Length(left) => {
                let length = usize::try_from(*left).unwrap_or(usize::MAX);
                let length = length.min(available);
                *left -= length as u64;
                length
            }
        };
        if matches!(self.rest, Rest::Length(0)) {
            self.rest = Rest::Over;
        }
        Ok(Some(Piece::Data(self.ahead.split_to(taken).freeze())))
    }

    /// The content is over; its trailers, if there are any.
    fn end(&mut self) -> Option<Frame<Bytes>> {
        let Rest::Chunks(mut reader) = std::mem::replace(&mut self.rest, Rest::Over) else {
            return None;
        };
        let trailers = reader.take_trailers();
        (!trailers.is_empty()).then(|| Frame::trailers(trailers))
    }

    fn poll_fill(&mut self, context: &mut Context<'_>) -> Poll<io::Result<usize>> {
        if self.ahead.capacity() - self.ahead.len() < self.room / 4 {
            self.ahead.reserve(self.room);
        }
        let free = self.ahead.capacity() - self.ahead.len();
        let read = ready!(pin!(self.stream.read_buf(&mut self.ahead)).poll(context));
        if let Ok(read) = read {
            self.room = if read == free { LARGE_ROOM } else { ROOM };
        }
        Poll::Ready(read)
    }

    fn break_off(&mut self, fault: Fault) -> Poll<Option<Result<Frame<Bytes>, Fault>>> {
        self.rest = Rest::Broken;
        Poll::Ready(Some(Err(fault)))
    }

    fn broke_off(&self, reason: &str) -> Fault {
        let detail = format!("the response broke off: {reason}");
        Fault::new(FaultKind::Malformed, detail).at(self.facts.address)
    }

    fn unanswered(&mut self, failure: Failure, message: &mut Message) -> Unanswered {
        (self.keeps, self.rest) = (false, Rest::Broken);
        let unsent = self.sending.take().filter(|it| !it.begun);
        let is_unsent = unsent.is_some();
        if let Some(stream) = unsent.and_then(|it| it.stream) {
            message.body = stream;
        }
        let dead = matches!(failure, Failure::Ended(_, false));
        Unanswered {
            unsent: is_unsent && dead,
            dead,
            fault: failure.fault(self.facts.address),
        }
    }
}

/// 101 is none: it is the last answer in HTTP.
fn is_interim(head: &AnswerHead) -> bool {
    head.status.is_informational() && head.status != http::StatusCode::SWITCHING_PROTOCOLS
}

impl Failure {
    fn fault(self, at: SocketAddr) -> Fault {
        let detail = match self {
            Self::Ended(error, _) => {
                format!("the connection ended before the response: {error}")
            }
            Self::Unbelieved(reason) => format!("the response is not believed: {reason}"),
            Self::Flooded => format!("the server sent more than {MAX_INTERIM} interim answers"),
            Self::Upload(fault) => return fault,
        };
        Fault::new(FaultKind::Malformed, detail).at(at)
    }
}

impl Sending {
    fn of(message: &mut Message) -> Self {
        let framing = message.framing();
        let head = message.head(framing);
        let (content, stream) = match message.body.whole() {
            Some(content) => (content, None),
            None => (Bytes::new(), Some(std::mem::take(&mut message.body))),
        };
        Self {
            waiting: pieces(head, content, Bytes::new()),
            left: match framing {
                Framing::Length(length) => length,
                Framing::None | Framing::Chunked => 0,
            },
            stream,
            framing,
            begun: false,
        }
    }

    /// Ready once everything was written.
    fn poll(
        &mut self,
        stream: &mut Box<dyn Duplex>,
        context: &mut Context<'_>,
    ) -> Poll<Result<(), Failure>> {
        let broken = |error| Failure::Ended(error, false);
        loop {
            while self.waiting.has_remaining() {
                let written = ready!(self.write(stream, context)).map_err(broken)?;
                if written == 0 {
                    return Poll::Ready(Err(broken(io::ErrorKind::WriteZero.into())));
                }
                self.begun = true;
            }
            let Some(body) = &mut self.stream else {
                return Pin::new(stream).poll_flush(context).map_err(broken);
            };
            let frame = match Pin::new(body).poll_frame(context) {
                Poll::Ready(frame) => frame.transpose().map_err(Failure::Upload)?,
                Poll::Pending => {
                    // What was written has to leave while there is nothing more.
                    ready!(Pin::new(&mut *stream).poll_flush(context)).map_err(broken)?;
                    return Poll::Pending;
                }
            };
            self.put(frame)?;
        }
    }

    /// One piece, as most requests are, needs no list of pieces.
    fn write(
        &mut self,
        stream: &mut Box<dyn Duplex>,
        context: &mut Context<'_>,
    ) -> Poll<io::Result<usize>> {
        let first = self.waiting.chunk();
        if first.len() < self.waiting.remaining() {
            return pin!(stream.write_buf(&mut self.waiting)).poll(context);
        }
        let written = ready!(Pin::new(stream).poll_write(context, first))?;
        self.waiting.advance(written);
        Poll::Ready(Ok(written))
    }

    /// What a frame looks like on the wire. Trailers of requests never pass.
    fn put(&mut self, frame: Option<Frame<Bytes>>) -> Result<(), Failure> {
        let Some(frame) = frame else {
            self.stream = None;
            return self.end();
        };
        let Ok(data) = frame.into_data() else {
            return Ok(());
        };
        let Some(length) = std::num::NonZeroUsize::new(data.len()) else {
            return Ok(());
        };
        if self.framing == Framing::Chunked {
            let mut size = BytesMut::with_capacity(20);
            wire::chunk_size(&mut size, length);
            self.waiting = pieces(size, data, Bytes::from_static(CHUNK_END));
            return Ok(());
        }
        let left = self.left.checked_sub(length.get() as u64);
        self.left = left.ok_or_else(|| wrong_length("longer"))?;
        self.waiting = pieces(BytesMut::new(), data, Bytes::new());
        Ok(())
    }

    fn end(&mut self) -> Result<(), Failure> {
        if self.framing == Framing::Chunked {
            let last = Bytes::from_static(LAST_CHUNK);
            self.waiting = pieces(BytesMut::new(), last, Bytes::new());
        } else if self.left > 0 {
            return Err(wrong_length("shorter"));
        }
        Ok(())
    }
}

fn pieces(first: BytesMut, second: Bytes, third: Bytes) -> Waiting {
    first.chain(second).chain(third)
}

fn wrong_length(how: &str) -> Failure {
    let detail = format!("the request's body was {how} than it had said");
    Failure::Upload(Fault::new(FaultKind::Internal, detail))
}

#[cfg(test)]
mod tests {
    use std::collections::VecDeque;

    use http::Request;
    use tokio::io::{DuplexStream, duplex};

    use super::*;
    use crate::action::Passes;
    use crate::body::Body;
    use crate::request::Destination;

    fn connection() -> (Http1, DuplexStream) {
        let (ours, theirs) = duplex(1024 * 1024);
        let facts = Facts {
            address: "203.0.114.10:443".parse().unwrap(),
            tls: None,
        };
        (
            Http1::new(Box::new(ours), facts, &Upstreams::default()),
            theirs,
        )
    }

    fn message(method: &str, body: Body) -> Message {
        let request = Request::builder().method(method).uri("/v1?x=y");
        let to = Destination::of_connect("a.test:443").unwrap();
        Message::new(request.body(body).unwrap(), to, Passes::default())
    }

    /// A body of which nobody knows the length; where a frame is missing, it never comes.
    struct Frames(VecDeque<Option<Result<&'static str, Fault>>>);

    impl HttpBody for Frames {
        type Data = Bytes;
        type Error = Fault;

        fn poll_frame(
            mut self: Pin<&mut Self>,
            _: &mut Context<'_>,
        ) -> Poll<Option<Result<Frame<Bytes>, Fault>>> {
            if let Some(None) = self.0.front() {
                return Poll::Pending;
            }
            let next = self.0.pop_front().flatten();
            Poll::Ready(next.map(|text| text.map(|it| Frame::data(it.into()))))
        }
    }

    fn frames(frames: impl IntoIterator<Item = Option<Result<&'static str, Fault>>>) -> Body {
        Body::stream(Frames(frames.into_iter().collect()))
    }

    /// What comes for a GET whose reply are these bytes, after which the server closes.
    async fn reply(bytes: &str) -> (Result<u16, String>, Result<String, String>, bool) {
        let (mut connection, mut server) = connection();
        server.write_all(bytes.as_bytes()).await.unwrap();
        let closes = bytes.ends_with("<close>");
        let response = connection.send(&mut message("GET", Body::Empty)).await;
        let status = match response {
            Ok(head) => head.status.as_u16(),
            Err(unanswered) => return (Err(unanswered.fault.detail), Err("".into()), false),
        };
        if closes {
            drop(server);
        }
        let content = content(&mut connection).await;
        (Ok(status), content, connection.may_be_kept())
    }

    async fn content(connection: &mut Http1) -> Result<String, String> {
        let mut all = String::new();
        while let Some(frame) = poll_fn(|context| connection.poll_frame(context)).await {
            let frame = frame.map_err(|fault| fault.detail)?;
            match frame.into_data() {
                Ok(data) => all.push_str(std::str::from_utf8(&data).unwrap()),
                Err(frame) => all.push_str(&format!("{:?}", frame.into_trailers().unwrap())),
            }
        }
        Ok(all)
    }

    #[tokio::test]
    async fn a_request_is_written_in_one_way() {
        for (method, body, expected) in [
            (
                "GET",
                Body::Empty,
                "GET /v1?x=y HTTP/1.1\r\nhost: a.test\r\n\r\n",
            ),
            (
                "DELETE",
                Body::Empty,
                "DELETE /v1?x=y HTTP/1.1\r\nhost: a.test\r\n\r\n",
            ),
            (
                "POST",
                Body::Empty,
                "POST /v1?x=y HTTP/1.1\r\nhost: a.test\r\ncontent-length: 0\r\n\r\n",
            ),
            (
                "PUT",
                Body::from(b"abc".to_vec()),
                "PUT /v1?x=y HTTP/1.1\r\nhost: a.test\r\ncontent-length: 3\r\n\r\nabc",
            ),
            (
                "POST",
                frames(["ab", "", "0123456789abcdef"].map(|it| Some(Ok(it)))),
                "POST /v1?x=y HTTP/1.1\r\nhost: a.test\r\ntransfer-encoding: chunked\r\n\r\n\
                 2\r\nab\r\n10\r\n0123456789abcdef\r\n0\r\n\r\n",
            ),
        ] {
            let (mut connection, mut server) = connection();
            server.write_all(b"HTTP/1.1 204 X\r\n\r\n").await.unwrap();
            let sent = connection.send(&mut message(method, body)).await;
            assert!(sent.is_ok());
            assert!(connection.may_be_kept(), "{expected:?}");
            drop(connection);
            let mut written = String::new();
            server.read_to_string(&mut written).await.unwrap();
            assert_eq!(written, expected);
        }
    }

    #[tokio::test]
    async fn a_reply_with_one_reading_leaves_its_connection_for_the_next() {
        for (bytes, status, expected, kept) in [
            (
                "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok",
                200,
                "ok",
                true,
            ),
            ("HTTP/1.1 204 No Content\r\n\r\n", 204, "", true),
            (
                "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n",
                200,
                "ok",
                true,
            ),
            (
                "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\nx_y: 1\r\n\r\n",
                200,
                "ok{\"x_y\": \"1\"}",
                true,
            ),
            (
                "HTTP/1.1 103 Early\r\nx: y\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok",
                200,
                "ok",
                true,
            ),
            ("HTTP/1.1 101 Switching Protocols\r\n\r\n", 101, "", false),
            (
                "HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 2\r\n\r\nok",
                200,
                "ok",
                false,
            ),
            (
                "HTTP/1.0 200 OK\r\nContent-Length: 2\r\n\r\nok",
                200,
                "ok",
                false,
            ),
            ("HTTP/1.1 200 OK\r\n\r\nok<close>", 200, "ok<close>", false),
            // More than was promised could be the reply to a request of somebody else.
            (
                "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nokHTTP/1.1 200 OK\r\n\r\n",
                200,
                "ok",
                false,
            ),
        ] {
            let expected = (Ok(status), Ok(expected.to_owned()), kept);
            let mut got = reply(bytes).await;
            // A switch is the exchange's matter; the connection is not HTTP's any more.
            if status == 101 {
                got.2 = false;
            }
            assert_eq!(got, expected, "{bytes:?}");
        }
    }

    #[tokio::test]
    async fn a_reply_with_two_readings_is_the_last_of_its_connection() {
        let chunked = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n";
        for bytes in [
            "HTTP/1.1 200 OK\nContent-Length: 2\n\nok".to_owned(),
            "HTTP/1.1 200 OK\r\nContent-Length: 2\n\r\nok".into(),
            "HTTP/1.1 200 OK\r\nX: a\r\n b\r\nContent-Length: 2\r\n\r\nok".into(),
            "HTTP/1.1 200 OK\r\nContent-Length : 2\r\n\r\nok".into(),
            "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 2\r\n\r\nok".into(),
            "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"
                .into(),
            "\r\nHTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok".into(),
            "HTTP/1.1 1000 X\r\n\r\n".into(),
            "SSH-2.0-x\r\n".into(),
            "HTTP/1.1 100 Continue\r\n\r\n".repeat(MAX_INTERIM + 1),
            format!("{chunked}2 \r\nok\r\n0\r\n\r\n"),
            format!("{chunked}2;x=y\r\nok\r\n0\r\n\r\n"),
            format!("{chunked}2\nok\r\n0\r\n\r\n"),
            format!("{chunked}2\r\nok0\r\n\r\n"),
            format!("{chunked}2\r\nok\r\n0\r\nx : y\r\n\r\n"),
            format!("{chunked}ffffffffffffffff1\r\nok\r\n0\r\n\r\n"),
            format!("{chunked}2\r\nok\r\n<close>"),
            "HTTP/1.1 200 OK\r\nContent-Length: 20\r\n\r\nok<close>".into(),
        ] {
            let (status, content, kept) = reply(&bytes).await;
            assert!(status.is_err() || content.is_err(), "{bytes:?}");
            assert!(!kept, "{bytes:?}");
        }
    }

    #[tokio::test]
    async fn an_early_answer_is_an_answer_and_the_connection_goes_with_it() {
        let (mut connection, mut server) = connection();
        let answer = b"HTTP/1.1 413 X\r\nContent-Length: 2\r\n\r\nno";
        server.write_all(answer).await.unwrap();
        let body = frames([Some(Ok("ab")), None]);
        let head = connection.send(&mut message("POST", body)).await;
        assert_eq!(head.ok().map(|it| it.status.as_u16()), Some(413));
        assert_eq!(content(&mut connection).await, Ok("no".into()));
        assert!(!connection.may_be_kept());
    }

    #[tokio::test]
    async fn what_of_a_request_follows_its_answer_makes_no_connection_good_again() {
        let (mut connection, mut server) = connection();
        let (more, body) = tokio::sync::mpsc::channel(1);
        let answer = b"HTTP/1.1 200 X\r\nContent-Length: 2\r\n\r\nok";
        server.write_all(answer).await.unwrap();
        let response = connection
            .send(&mut message("POST", Body::stream(Awaited(body))))
            .await;
        assert!(response.is_ok());
        drop(more);
        assert_eq!(content(&mut connection).await, Ok("ok".into()));
        assert!(connection.sending.is_none() && !connection.may_be_kept());
    }

    /// A body that ends, without a frame, once somebody says so.
    struct Awaited(tokio::sync::mpsc::Receiver<()>);

    impl HttpBody for Awaited {
        type Data = Bytes;
        type Error = Fault;

        fn poll_frame(
            mut self: Pin<&mut Self>,
            context: &mut Context<'_>,
        ) -> Poll<Option<Result<Frame<Bytes>, Fault>>> {
            self.0.poll_recv(context).map(|_| None)
        }
    }

    #[tokio::test]
    async fn a_request_of_which_nothing_left_comes_back() {
        let (mut connection, server) = connection();
        drop(server);
        let mut message = message("POST", frames([Some(Ok("abc"))]));
        let failed = connection.send(&mut message).await.unwrap_err();
        assert!(failed.dead && failed.unsent);
        assert!(message.body.whole().is_none(), "it streams as before");
        let frame = poll_fn(|context| Pin::new(&mut message.body).poll_frame(context)).await;
        assert_eq!(frame.unwrap().unwrap().into_data().unwrap(), "abc");
    }

    #[tokio::test]
    async fn a_body_that_breaks_off_never_ends_as_if_it_were_whole() {
        let (mut connection, mut server) = connection();
        let gone = Fault::new(FaultKind::ClientGone, "gone");
        let body = frames([Some(Ok("ab")), Some(Err(gone))]);
        let failed = connection
            .send(&mut message("POST", body))
            .await
            .unwrap_err();
        assert_eq!(failed.fault.kind, FaultKind::ClientGone);
        assert!(!failed.unsent && !connection.may_be_kept());
        drop(connection);
        let mut written = String::new();
        server.read_to_string(&mut written).await.unwrap();
        assert!(written.ends_with("\r\n\r\n2\r\nab\r\n"), "{written:?}");
    }

    #[tokio::test]
    async fn what_a_server_says_unasked_is_noticed() {
        for (says, quiet) in [("", true), ("HTTP/1.1 408 X\r\n\r\n", false)] {
            let (mut connection, mut server) = connection();
            server.write_all(says.as_bytes()).await.unwrap();
            assert_eq!(connection.is_quiet(), quiet, "{says:?}");
        }
    }
}
