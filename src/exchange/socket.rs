//! A WebSocket, once both sides have agreed on it: frames both ways under the caps of the action, until one side ends.
//!
//! It holds its agent's share and its audit ticket as a reply does. What an agent sends may hold no known secret, and
//! what comes back is scrubbed, message by message; [`websocket`](crate::websocket) knows how.

use std::io;
use std::time::Duration;

use aws_lc_rs::rand;
use bytes::BytesMut;
use http::StatusCode;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::sync::Notify;
use tokio::time::{Instant, sleep, timeout};

use crate::action::Limits;
use crate::audit::{End, Ending, Ticket, Upstream};
use crate::dial::Switched;
use crate::exchange::body::Hold;
use crate::exchange::respond::Scrub;
use crate::exchange::{Carried, Sent, Traffic, upstream};
use crate::fault::{Fault, FaultKind};
use crate::lease::{Ended, Lease};
use crate::refusal::Code;
use crate::websocket;
use crate::websocket::{Broken, Close, Passing, Side};

/// What is read at a time. Frames of APIs are small; this is what one connection holds in either direction.
const PIECE: usize = 16 * 1024;

/// Between the end of one side and that of the other: RFC 6455 §7.1.1 has the server close first and the client follow.
/// Five round trips, with one of them lost.
const LAST_WORDS: Duration = Duration::from_secs(10);

/// For a last frame to a side that may not be reading, and for what it still sends: as at the connections that are
/// turned away.
const FAREWELL: Duration = Duration::from_secs(1);
const FAREWELL_BYTES: u64 = 64 * 1024;

/// An open WebSocket to a server, for the client that asked for it.
pub struct Socket {
    server: Switched,
    ticket: Ticket,
    limits: Limits,
    scrub: Scrub,
    upstream: Upstream,
    dialled: Instant,
    lease: Lease,
    // The agent's share.
    _hold: Hold,
}

/// Why it is over.
enum Over {
    /// Both sides have ended.
    Ended,
    /// One side sent what may not pass.
    Broke(Side, Broken),
    /// The connection of one side broke.
    Lost(Side, io::Error),
    /// It is exeat that ends it: for silence, or for a secret that is not to be passed on masked.
    Stopped(Fault),
    /// It may not go on.
    Cut(Ended),
}

impl Socket {
    /// Takes over what a reply has led to; `None` where that is no WebSocket.
    pub(super) fn of(carried: &mut Carried) -> Option<(Switched, Upstream)> {
        let Sent { reply, dialled, .. } = &mut carried.sent;
        let server = reply.switched.take()?;
        Some((server, upstream(reply, *dialled)))
    }

    pub(super) fn new(
        (server, upstream): (Switched, Upstream),
        carried: Carried,
        (ticket, lease): (Ticket, Lease),
    ) -> Self {
        Self {
            server,
            ticket,
            limits: carried.sent.limits,
            scrub: carried.sent.scrub,
            upstream,
            dialled: carried.sent.dialled,
            lease,
            _hold: carried.hold,
        }
    }

    /// Carries frames until it is over. `ahead` is what the client has sent already; a side that takes nothing for the
    /// time of `stall` is given up.
    pub async fn carry<S>(self, client: S, ahead: BytesMut, stall: Duration)
    where
        S: AsyncRead + AsyncWrite + Unpin + Send,
    {
        let Self {
            server,
            mut ticket,
            limits,
            scrub,
            mut lease,
            ..
        } = self;
        let (traffic, closing) = (Traffic::default(), Notify::new());
        traffic.read(ahead.len());
        let (from_client, to_client) = tokio::io::split(client);
        let (from_server, to_server) = server.split();
        let of = |side, most| Passing::of(side, most, scrub.forms());
        let mut up = Way {
            side: Side::Client,
            reader: from_client,
            writer: to_server,
            input: ahead,
            out: BytesMut::new(),
            passing: of(Side::Client, limits.max_request_bytes),
            scrub: scrub.clone(),
            stall,
            may_follow: true,
        };
        let mut down = Way {
            side: Side::Server,
            reader: from_server,
            writer: to_client,
            input: BytesMut::new(),
            out: BytesMut::new(),
            passing: of(Side::Server, limits.max_response_bytes),
            scrub,
            stall,
            may_follow: true,
        };
        let ways = both(up.run(&traffic, &closing), down.run(&traffic, &closing));
        let carrying = until_last_words(ways, &closing, LAST_WORDS);
        let over = tokio::select! {
            moving = traffic.while_moving(limits.idle_timeout, carrying) => {
                moving.unwrap_or_else(Over::Stopped)
            }
            ended = lease.ended() => Over::Cut(ended),
        };
        let over = over.unless_closed(&up.passing, &down.passing);
        let is_whole = up.passing.is_between_messages() && down.passing.is_between_messages();
        let words = over.words();
        ticket.redacted(down.scrub.masked());
        ticket.reached(Upstream {
            took: self.dialled.elapsed(),
            ..self.upstream
        });
        // Before the last words, for which there may be no time any more.
        close(ticket, over.into_end(is_whole), &traffic);
        if let Some((why, reason)) = words {
            down.farewell(Side::Server, why, reason).await;
            up.farewell(Side::Client, Close::GoingAway, "").await;
            up.read_on().await;
        }
    }

    /// The client left before it could hear of it.
    pub fn abandon(mut self) {
        self.ticket.reached(self.upstream);
        self.ticket.close(Ending {
            end: End::Aborted,
            status: None,
            bytes_in: 0,
            bytes_out: 0,
        });
    }
}

impl std::fmt::Debug for Socket {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Socket")
    }
}

fn close(ticket: Ticket, end: End, traffic: &Traffic) {
    let (bytes_in, bytes_out) = traffic.both();
    ticket.close(Ending {
        end,
        status: Some(StatusCode::SWITCHING_PROTOCOLS),
        bytes_in,
        bytes_out,
    });
}

/// Waits for both directions.
async fn both(
    up: impl Future<Output = Result<(), Over>>,
    down: impl Future<Output = Result<(), Over>>,
) -> Over {
    tokio::try_join!(up, down).err().unwrap_or(Over::Ended)
}

/// Once one side is closing, the rest has no longer than it needs for its last words.
async fn until_last_words(
    ways: impl Future<Output = Over>,
    closing: &Notify,
    most: Duration,
) -> Over {
    let late = async {
        closing.notified().await;
        sleep(most).await;
    };
    tokio::select! {
        over = ways => over,
        () = late => Over::Ended,
    }
}

/// One direction.
struct Way<R, W> {
    /// Who sends.
    side: Side,
    reader: R,
    writer: W,
    input: BytesMut,
    out: BytesMut,
    passing: Passing,
    scrub: Scrub,
    stall: Duration,
    /// Whether a frame of ours may stand behind what went out.
    may_follow: bool,
}

impl<R: AsyncRead + Unpin, W: AsyncWrite + Unpin> Way<R, W> {
    /// Passes frames on until this side ends. Tells when it begins to.
    async fn run(&mut self, traffic: &Traffic, closing: &Notify) -> Result<(), Over> {
        loop {
            let pushed = self.push();
            self.write(traffic).await?;
            pushed?;
            if self.passing.is_closed() {
                closing.notify_one();
            }
            self.input.reserve(PIECE);
            let read = self.reader.read_buf(&mut self.input).await;
            match read.map_err(|error| Over::Lost(self.side, error))? {
                0 => break,
                bytes if self.side == Side::Client => traffic.read(bytes),
                _ => {}
            }
        }
        // The other side may still have something to say.
        closing.notify_one();
        let shut = timeout(self.stall, self.writer.shutdown()).await;
        shut.map_or(Ok(()), |shut| shut.or(Ok(())))
    }

    fn push(&mut self) -> Result<(), Over> {
        self.passing.look_for(self.scrub.forms());
        let (before, length) = (self.passing.masked(), self.out.len());
        let pushed = self.passing.push(&mut self.input, &mut self.out);
        if self.side == Side::Server {
            let masked = self.passing.masked() - before;
            if let Err(fault) = self.scrub.note(masked) {
                // Nothing of what came with it goes out, masked or not.
                self.out.truncate(length);
                return Err(Over::Stopped(fault));
            }
        }
        self.may_follow = self.passing.is_between_frames() && !self.passing.is_closed();
        pushed.map_err(|broken| Over::Broke(self.side, broken))
    }

    async fn write(&mut self, traffic: &Traffic) -> Result<(), Over> {
        if self.out.is_empty() {
            return Ok(());
        }
        let bytes = self.out.len();
        let writing = async {
            self.writer.write_all_buf(&mut self.out).await?;
            self.writer.flush().await
        };
        let written = timeout(self.stall, writing).await;
        let lost = |error| Over::Lost(other(self.side), error);
        written
            .unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into()))
            .map_err(lost)?;
        if self.side == Side::Server {
            traffic.wrote(bytes);
        }
        Ok(())
    }

    /// Says why it is over, as the side that sends here would say it, where a frame may stand now; and closes.
    async fn farewell(&mut self, side: Side, why: Close, reason: &str) {
        let mut key = [0; 4];
        let may_speak = self.out.is_empty() && self.may_follow && rand::fill(&mut key).is_ok();
        let speaking = async {
            if may_speak {
                let frame = websocket::close(side, why, reason, key);
                self.writer.write_all(&frame).await?;
                self.writer.flush().await?;
            }
            self.writer.shutdown().await
        };
        // Whoever does not hear it sees the end of the connection.
        let _ = timeout(FAREWELL, speaking).await;
    }

    /// Closing with unread bytes makes the kernel reset the connection, and the client loses the last frame.
    async fn read_on(&mut self) {
        let mut rest = (&mut self.reader).take(FAREWELL_BYTES);
        let mut sink = tokio::io::sink();
        let reading = tokio::io::copy(&mut rest, &mut sink);
        // However it ends, the connection is over.
        let _ = timeout(FAREWELL, reading).await;
    }
}

fn other(side: Side) -> Side {
    match side {
        Side::Client => Side::Server,
        Side::Server => Side::Client,
    }
}

impl Over {
    /// A connection may end in any way once its side has said that it closes.
    fn unless_closed(self, up: &Passing, down: &Passing) -> Self {
        match self {
            Self::Lost(Side::Client, _) if up.is_closed() => Self::Ended,
            Self::Lost(Side::Server, _) if down.is_closed() => Self::Ended,
            over => over,
        }
    }

    /// What the client is told, if it is not its own doing: a code, and the code of a refusal.
    fn words(&self) -> Option<(Close, &'static str)> {
        let why = match self {
            Self::Ended | Self::Lost(Side::Client, _) => return None,
            Self::Lost(Side::Server, _) => Close::BadGateway,
            Self::Broke(_, Broken::TooLarge) => Close::TooLarge,
            Self::Broke(_, Broken::Secret) => Close::Policy,
            Self::Broke(Side::Client, Broken::Malformed(_)) => Close::Malformed,
            Self::Broke(Side::Server, Broken::Malformed(_)) => Close::BadGateway,
            Self::Stopped(fault) if fault.kind == FaultKind::Echo => Close::Policy,
            Self::Cut(Ended::Withdrawn) => Close::Policy,
            Self::Stopped(_) | Self::Cut(Ended::Stopped) => Close::GoingAway,
        };
        Some((why, self.code().as_str()))
    }

    fn code(&self) -> Code {
        match self {
            // As for whoever comes while exeat stops. Nothing was taken from the agent.
            Self::Cut(Ended::Stopped) => Code::Overloaded,
            _ => self
                .fault()
                .map_or(Code::Internal, |fault| fault.kind.code()),
        }
    }

    fn fault(&self) -> Option<Fault> {
        let (kind, detail) = match self {
            Self::Ended | Self::Lost(Side::Client, _) => return None,
            Self::Stopped(fault) => return Some(fault.clone()),
            Self::Cut(_) => (FaultKind::Withdrawn, "it may not go on".into()),
            Self::Lost(Side::Server, error) => (
                FaultKind::Malformed,
                format!("the server's connection broke: {error}"),
            ),
            Self::Broke(Side::Client, broken) => match broken {
                Broken::Malformed(why) => (FaultKind::ClientMalformed, (*why).into()),
                Broken::TooLarge => (
                    FaultKind::ClientTooLarge,
                    "the client's frames passed the action's max_request_bytes".into(),
                ),
                Broken::Secret => (
                    FaultKind::ClientSecret,
                    "a message of the client holds a known secret".into(),
                ),
            },
            Self::Broke(Side::Server, broken) => match broken {
                Broken::TooLarge => (
                    FaultKind::ReplyTooLarge,
                    "the server's frames passed the action's max_response_bytes".into(),
                ),
                Broken::Malformed(why) => (FaultKind::Malformed, (*why).into()),
                Broken::Secret => (FaultKind::Internal, "a server has no secret to keep".into()),
            },
        };
        Some(Fault::new(kind, detail))
    }

    fn into_end(self, is_whole: bool) -> End {
        match (&self, self.fault()) {
            (Self::Cut(ended), _) => (*ended).into(),
            (Self::Broke(Side::Client, Broken::Secret), _) => End::Refused(Code::SecretOutgoing),
            (_, Some(fault)) => End::Truncated(fault),
            (Self::Ended, None) if is_whole => End::Complete,
            (_, None) => End::Aborted,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use tokio::io::DuplexStream;

    use super::*;
    use crate::exchange::OnEcho;
    use crate::known::Known;

    type Ends = (DuplexStream, DuplexStream);

    /// One direction, and the ends of both connections that are not exeat's.
    fn way(side: Side) -> (Way<DuplexStream, DuplexStream>, Ends) {
        let scrub = Scrub::new(&Arc::new(Known::default()), OnEcho::Redact);
        let (reader, from) = tokio::io::duplex(1024);
        let (writer, to) = tokio::io::duplex(1024);
        let way = Way {
            side,
            reader,
            writer,
            input: BytesMut::new(),
            out: BytesMut::new(),
            passing: Passing::of(side, 1000, scrub.forms()),
            scrub,
            stall: Duration::from_secs(10),
            may_follow: true,
        };
        (way, (from, to))
    }

    #[test]
    fn whoever_has_said_close_has_no_more_than_the_time_for_last_words() {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_time()
            .build()
            .unwrap();
        for side in [Side::Client, Side::Server] {
            let (mut up, (mut client, _up_to)) = way(Side::Client);
            let (mut down, (mut server, _down_to)) = way(Side::Server);
            let speaker = match side {
                Side::Client => &mut client,
                Side::Server => &mut server,
            };
            let (traffic, closing) = (Traffic::default(), Notify::new());
            let over = runtime.block_on(async {
                let frame = websocket::close(side, Close::GoingAway, "", [1; 4]);
                speaker.write_all(&frame).await.unwrap();
                let ways = both(up.run(&traffic, &closing), down.run(&traffic, &closing));
                let carrying = until_last_words(ways, &closing, Duration::from_millis(20));
                timeout(Duration::from_secs(5), carrying).await
            });
            assert!(matches!(over, Ok(Over::Ended)), "{side:?}");
        }
    }
}
