//! The bare stack with exeat's strictness in front, and nothing else of exeat: what does that part cost?
//!
//! Heads are read by [`HeadReader`]; every part that names a server names the same one; the path and the query are
//! canonical, or the request is refused. Only requests without a body are served: the bench sends no others.

use std::sync::Arc;

use anyhow::Context;
use anyhow::bail;
use anyhow::ensure;
use bytes::Buf;
use bytes::Bytes;
use bytes::BytesMut;
use exeat::request::Destination;
use exeat::request::Path;
use exeat::request::Query;
use exeat::wire::CHUNK_END;
use exeat::wire::Framing;
use exeat::wire::Head;
use exeat::wire::HeadLimits;
use exeat::wire::HeadReader;
use exeat::wire::LAST_CHUNK;
use exeat::wire::ReplyFraming;
use exeat::wire::TUNNEL_OPEN;
use exeat::wire::chunk_size;
use exeat::wire::reply_head;
use http::Method;
use http::Request;
use http::Response;
use http_body::Body as _;
use http_body_util::BodyExt;
use http_body_util::Either;
use http_body_util::Empty;
use tokio::io::AsyncRead;
use tokio::io::AsyncReadExt;
use tokio::io::AsyncWrite;
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;

use crate::bare::connection::Gate;
use crate::bare::connection::bad_gateway;
use crate::bare::connection::carry;
use crate::bare::reply::Reply;
use crate::bare::upstream::Asked;
use crate::bare::upstream::Origin;

/// Room for the next read.
const ROOM: usize = 8 * 1024;

/// Serves one client until it leaves.
pub(super) async fn serve(socket: TcpStream, gate: &Gate) {
    let mut client = Client::new(socket);
    // The error of a client that went away is nobody's news.
    while let Ok(Some(head)) = client.head().await {
        if head.method == Method::CONNECT {
            let _ = intercept(client, &head, gate).await;
            return;
        }
        let answer = match in_the_clear(&head, gate) {
            Ok((origin, request)) => carry(origin, request, gate.body).await,
            Err(error) => Err(error),
        };
        if client.answer(&head, answer).await.is_err() {
            return;
        }
    }
}

/// Opens the TLS inside of a CONNECT, and carries what is asked there.
async fn intercept(mut client: Client<TcpStream>, head: &Head, gate: &Gate) -> anyhow::Result<()> {
    let destination = named(head, Destination::of_connect(head.target.as_str()))?;
    let origin = gate.origin(destination.host.as_str(), destination.port)?;
    client.stream.write_all(TUNNEL_OPEN).await?;
    ensure!(client.ahead.is_empty(), "the client spoke before the 200");
    let mut client = Client::new(gate.acceptor.accept(client.stream).await?);
    while let Some(head) = client.head().await? {
        let named = head.host().is_some_and(|it| destination.is_named_by(it));
        ensure!(named, "another server");
        let answer = match request(&head, head.target.as_str()) {
            Ok(request) => carry(origin, request, gate.body).await,
            Err(error) => Err(error),
        };
        client.answer(&head, answer).await?;
    }
    Ok(())
}

/// A request whose target is a whole URL, and where it goes.
fn in_the_clear<'a>(
    head: &Head,
    gate: &'a Gate,
) -> anyhow::Result<(&'a Arc<Origin>, Request<Asked>)> {
    let Ok(target) = Destination::of_absolute(head.target.as_str()) else {
        bail!("no URL that can be read in one way")
    };
    let destination = named(head, Ok::<_, ()>(target.destination))?;
    let origin = gate.origin(destination.host.as_str(), destination.port)?;
    let mut request = request(head, target.path_and_query)?;
    let host = destination.authority().parse()?;
    request.headers_mut().insert(http::header::HOST, host);
    Ok((origin, request))
}

/// The server, if the `Host` header names it as well.
fn named<E>(head: &Head, destination: Result<Destination, E>) -> anyhow::Result<Destination> {
    let destination = destination.ok().context("no server")?;
    let named = head.host().is_some_and(|it| destination.is_named_by(it));
    ensure!(named, "two servers");
    Ok(destination)
}

/// The request in origin-form, if there is one way to read it.
fn request(head: &Head, path_and_query: &str) -> anyhow::Result<Request<Asked>> {
    ensure!(head.framing == Framing::None, "a body");
    let (path, query) = path_and_query
        .split_once('?')
        .unwrap_or((path_and_query, ""));
    let canonical = Path::parse(path).is_ok() && Query::parse(query).is_ok();
    ensure!(canonical, "not canonical");
    let mut request = Request::new(Either::Right(Empty::new()));
    *request.method_mut() = head.method.clone();
    *request.uri_mut() = path_and_query.parse()?;
    *request.headers_mut() = head.headers.clone();
    Ok(request)
}

/// A client's connection and what was read ahead of it.
struct Client<S> {
    stream: S,
    ahead: BytesMut,
    heads: HeadReader,
}

impl<S: AsyncRead + AsyncWrite + Unpin> Client<S> {
    fn new(stream: S) -> Self {
        Self {
            stream,
            ahead: BytesMut::new(),
            heads: HeadReader::new(HeadLimits::default()),
        }
    }

    async fn head(&mut self) -> anyhow::Result<Option<Head>> {
        loop {
            match self.heads.read(&mut self.ahead) {
                Ok(None) => {}
                Ok(head) => return Ok(head),
                Err(malformed) => bail!("{}", malformed.reason()),
            }
            self.ahead.reserve(ROOM);
            if self.stream.read_buf(&mut self.ahead).await? == 0 {
                return Ok(None);
            }
        }
    }

    async fn answer(
        &mut self,
        head: &Head,
        answer: anyhow::Result<Response<Reply>>,
    ) -> anyhow::Result<()> {
        let (parts, body) = answer.unwrap_or_else(bad_gateway).into_parts();
        let length = body.size_hint().exact();
        let framing = ReplyFraming::choose(&head.method, head.version, parts.status, length);
        let mut waiting = BytesMut::with_capacity(512);
        reply_head(&mut waiting, parts.status, &parts.headers, framing, false);
        self.write(waiting, body, framing).await?;
        Ok(())
    }

    /// The head leaves with the first piece of the body.
    async fn write(
        &mut self,
        mut waiting: BytesMut,
        mut body: Reply,
        framing: ReplyFraming,
    ) -> anyhow::Result<()> {
        let chunked = framing == ReplyFraming::Chunked;
        while let Some(frame) = body.frame().await {
            let Ok(data) = frame?.into_data() else { break };
            let Some(length) = std::num::NonZeroUsize::new(data.len()) else {
                continue;
            };
            let mut end: &[u8] = &[];
            if chunked {
                chunk_size(&mut waiting, length);
                end = CHUNK_END;
            }
            let head: Bytes = waiting.split().freeze();
            self.stream
                .write_all_buf(&mut head.chain(data).chain(end))
                .await?;
        }
        if chunked {
            waiting.extend_from_slice(LAST_CHUNK);
        }
        self.stream.write_all(&waiting).await?;
        self.stream.flush().await?;
        Ok(())
    }
}
