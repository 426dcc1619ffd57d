//! HTTP/2 inside an intercepted tunnel: hyper's server under our limits; each stream is an exchange of its own.
//!
//! hyper and h2 refuse what is malformed on the level of frames and pseudo-headers; what they let through is judged in
//! `head`. A stream that is refused ends with an answer of its own, and its neighbours go on. What they do not tell us
//! of, streams that never became requests and floods, is counted by [`flood`](crate::flood).

mod head;
mod streams;

use std::convert::Infallible;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http::header::CONTENT_LENGTH;
use http::request::Parts;
use http::{HeaderValue, Method, Request, Response, StatusCode};
use http_body::{Body as HttpBody, Frame, SizeHint};
use hyper::body::Incoming;
use hyper::server::conn::http2;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use tokio::time::timeout;

use crate::body::Body;
use crate::drain::Phase;
use crate::exchange::{Answer, Arrival, Begun, Stop};
use crate::fault::{Fault, FaultKind};
use crate::flood::{Counted, Tally};
use crate::patience::Patience;
use crate::proxy::http2::streams::Streams;
use crate::proxy::line::ClientStream;
use crate::proxy::tunnel::Tunnel;
use crate::proxy::{ClientLimits, Place};

/// Streams at a time: what RFC 9113 §6.5.2 recommends at least, and what nginx, Go and Envoy come near to.
const STREAMS: u32 = 100;

/// All names and values of a head: as for HTTP/1.
const HEADER_BYTES: u32 = 64 * 1024;

/// Streams that a client resets before they were accepted, and streams that it makes us reset, before the connection
/// ends (CVE-2023-44487 and CVE-2025-8671). h2's own default for the second is 1,024.
const RESETS: usize = 100;

/// What a client may send ahead on one stream and on all: a megabyte every 100 ms is 80 Mbit/s.
const STREAM_WINDOW: u32 = 256 * 1024;
const CONNECTION_WINDOW: u32 = 1024 * 1024;

/// What is held of an answer whose client does not read, for each stream: with [`STREAMS`] of them 6.4 MB a connection,
/// as much as the first window of a client (RFC 9113 §6.9.2: 65,535 bytes) lets go at once.
const SEND_BUFFER: usize = 64 * 1024;

/// A client that is asked whether it is alive answers within a round trip.
const PING_INTERVAL: Duration = Duration::from_secs(30);
const PING_TIMEOUT: Duration = Duration::from_secs(20);

/// Serves the streams of a connection until it is over. How many of them never became requests comes back: HTTP/2's own
/// rules refused them, or the client took them back at once.
pub(super) async fn serve(place: &Place, tunnel: &Arc<Tunnel>, stream: impl ClientStream) -> u64 {
    place.seat.waits();
    let tally = Arc::new(Tally::default());
    let stream = Counted::client(stream, Arc::clone(&tally));
    let streams = Arc::new(Streams::default());
    let service = {
        let (place, tunnel, streams) = (place.clone(), Arc::clone(tunnel), Arc::clone(&streams));
        service_fn(move |request| {
            let (place, tunnel) = (place.clone(), Arc::clone(&tunnel));
            let open = streams.open(Arc::clone(&place.seat));
            async move {
                let answer = exchange(&place, &tunnel, request).await;
                Ok::<_, Infallible>(answer.map(|body| open.answered(body)))
            }
        })
    };
    let connection = builder().serve_connection(TokioIo::new(stream), service);
    let mut connection = pin!(connection);
    let ended = tokio::select! {
        ended = connection.as_mut() => ended,
        () = unused(place, &streams) => {
            connection.as_mut().graceful_shutdown();
            // A request that crosses the GOAWAY is answered.
            tokio::select! {
                ended = connection.as_mut() => ended,
                () = streams.none_for(place.limits.linger) => Ok(()),
            }
        }
        () = tally.flooded() => {
            tracing::debug!("a client floods its HTTP/2 connection");
            connection.as_mut().graceful_shutdown();
            let closing = timeout(place.limits.linger, connection);
            closing.await.unwrap_or(Ok(()))
        }
        // The client hears GOAWAY (RFC 9113 §6.8), and its streams come to their end.
        () = place.gate.services.drain.reached(Phase::Draining) => {
            connection.as_mut().graceful_shutdown();
            connection.await
        }
    };
    if let Err(error) = ended {
        tracing::debug!(%error, "an HTTP/2 connection ended with an error");
    }
    tally.opened().saturating_sub(streams.begun())
}

/// No stream has come for too long, or somebody else wants its place meanwhile.
async fn unused(place: &Place, streams: &Streams) {
    tokio::select! {
        () = streams.watch(&place.limits) => {}
        () = place.seat.wanted() => {}
    }
}

fn builder() -> http2::Builder<TokioExecutor> {
    let mut builder = http2::Builder::new(TokioExecutor::new());
    builder
        .timer(TokioTimer::new())
        .max_concurrent_streams(STREAMS)
        .max_header_list_size(HEADER_BYTES)
        .max_pending_accept_reset_streams(RESETS)
        .max_local_error_reset_streams(RESETS)
        .initial_stream_window_size(STREAM_WINDOW)
        .initial_connection_window_size(CONNECTION_WINDOW)
        .max_send_buf_size(SEND_BUFFER)
        .keep_alive_interval(PING_INTERVAL)
        .keep_alive_timeout(PING_TIMEOUT)
        .auto_date_header(false);
    builder
}

async fn exchange(place: &Place, tunnel: &Tunnel, request: Request<Incoming>) -> Response<Body> {
    let (parts, incoming) = request.into_parts();
    let method = parts.method.clone();
    let mut begun = match tunnel.begin(&place.gate) {
        Ok(begun) => begun,
        Err(answer) => return response(*answer, &method),
    };
    let body = upload(incoming, &place.limits);
    let answer = match judge((place, tunnel), &mut begun, parts, body).await {
        // Should the client reset the stream, hyper drops this future, and the record says `abandoned`.
        Ok(arrival) => {
            place.seat.asked();
            place.gate.serve(begun, arrival).await
        }
        Err(Stop::Refused(refusal)) => begun.refuse(refusal),
        Err(Stop::Broke(fault)) => begun.fail(fault),
    };
    response(answer, &method)
}

async fn judge(
    (place, tunnel): (&Place, &Tunnel),
    begun: &mut Begun,
    parts: Parts,
    body: Body,
) -> Result<Arrival, Stop> {
    let arrival = head::arrival(&place.gate, (tunnel, begun), parts, body)?;
    let caller = &arrival.caller;
    tunnel.vouch(&place.gate, &begun.policy, caller).await?;
    Ok(arrival)
}

fn upload(incoming: Incoming, limits: &ClientLimits) -> Body {
    if incoming.is_end_stream() {
        return Body::Empty;
    }
    Body::stream(Upload {
        incoming,
        patience: Patience::new(limits.body_idle),
    })
}

fn response(answer: Answer, method: &Method) -> Response<Body> {
    let Answer {
        status,
        mut headers,
        body,
        // Only HTTP/1 can ask for one.
        socket: _,
    } = answer;
    let bodyless = method == Method::HEAD
        || matches!(status, StatusCode::NO_CONTENT | StatusCode::NOT_MODIFIED);
    let body = match body {
        Body::Bytes(bytes) if bodyless => {
            if method == Method::HEAD {
                headers.insert(CONTENT_LENGTH, HeaderValue::from(bytes.len()));
            }
            Body::Empty
        }
        body => body,
    };
    let mut response = Response::new(body);
    *response.status_mut() = status;
    *response.headers_mut() = headers;
    response
}

/// A request's body, with a limit on how long it may stand still.
struct Upload {
    incoming: Incoming,
    patience: Patience,
}

impl HttpBody for Upload {
    type Data = Bytes;
    type Error = Fault;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Fault>>> {
        match Pin::new(&mut self.incoming).poll_frame(context) {
            // What hyper gives for an end also where the client resets its stream without an error.
            Poll::Ready(None) if !self.incoming.is_end_stream() => {
                let detail = "the client took its request back";
                Poll::Ready(Some(Err(Fault::new(FaultKind::ClientGone, detail))))
            }
            Poll::Ready(frame) => {
                self.patience.renew();
                let broken = |error| {
                    let detail = format!("the stream with the client's body broke: {error}");
                    Fault::new(FaultKind::ClientGone, detail)
                };
                Poll::Ready(frame.map(|it| it.map_err(broken)))
            }
            Poll::Pending => self.patience.poll(context).map(|()| {
                let detail = "the client stopped sending its body";
                Some(Err(Fault::new(FaultKind::ClientSlow, detail)))
            }),
        }
    }

    fn is_end_stream(&self) -> bool {
        self.incoming.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.incoming.size_hint()
    }
}
