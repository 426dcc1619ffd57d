//! Any bytes at any listener, however they come: they are answered in HTTP, or the connection is closed; who proves
//! nothing has nothing looked up or dialled, and nobody is told a secret.
//!
//! An input is a letter for the listener (`p` the proxy's, `t` the tools', `a` the operator's; as a capital, under a
//! policy with agents, and with a token for operators), four lengths of pieces, and the bytes of a client.

mod answers;
mod world;

use std::sync::atomic::Ordering;
use std::time::Duration;

use exeat::json;
use tokio::io::AsyncReadExt as _;
use tokio::io::AsyncWriteExt as _;
use tokio::io::DuplexStream;
use tokio::io::duplex;
use tokio::task::yield_now;
use tokio::time::timeout;

use super::cuts;
use world::SECRET;
use world::Side;
use world::Traces;
use world::World;

/// In memory, everything that is not waited for happens within a few turns.
const TURNS: usize = 50;

/// Nobody waits for a client that has closed. Longer than any machine takes, shorter than any deadline of ours.
const PATIENCE: Duration = Duration::from_secs(5);

thread_local! {
    static WORLD: World = World::new();
}

/// Plays a client.
pub fn check(bytes: &[u8]) {
    let Some((letter, bytes)) = bytes.split_first() else {
        return;
    };
    let (Some(door), Some((lengths, bytes))) = (Door::of(*letter), cuts::of(bytes)) else {
        return;
    };
    WORLD.with(|world| {
        let side = match letter.is_ascii_uppercase() {
            true => &world.guarded,
            false => &world.open,
        };
        let played = world.runtime.block_on(play(side, door, bytes, lengths));
        let Played { answer, traces, .. } = &played;
        let answers = answers::count(answer, played.was_aborted);
        check_traces(traces, letter.is_ascii_uppercase());
        if door == Door::Proxy {
            assert!(traces.records.len() >= answers, "{:?}", traces.records);
        }
        let mut outputs = traces.records.iter().chain([answer]);
        assert!(holds(bytes, SECRET) || !outputs.any(|it| holds(it, SECRET)));
    });
}

/// A listener.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Door {
    Proxy,
    Tools,
    Admin,
}

impl Door {
    fn of(letter: u8) -> Option<Self> {
        match letter.to_ascii_lowercase() {
            b'p' => Some(Self::Proxy),
            b't' => Some(Self::Tools),
            b'a' => Some(Self::Admin),
            _ => None,
        }
    }
}

/// What comes back, whether the connection was aborted, and what else was seen.
struct Played {
    answer: Vec<u8>,
    was_aborted: bool,
    traces: Traces,
}

async fn play(side: &Side, door: Door, bytes: &[u8], lengths: [usize; 4]) -> Played {
    let (client, ours) = duplex(64 * 1024);
    let (stream, aborted) = world::Pipe::new(ours);
    let talking = async { tokio::join!(side.serve(door, stream), talk(client, bytes, &lengths)).1 };
    let answer = timeout(PATIENCE, talking).await;
    Played {
        answer: answer.expect("a connection ends after its client has ended"),
        was_aborted: aborted.load(Ordering::Relaxed),
        traces: side.take_traces().await,
    }
}

async fn talk(client: DuplexStream, bytes: &[u8], lengths: &[usize]) -> Vec<u8> {
    let (mut reader, mut writer) = tokio::io::split(client);
    let writing = async {
        for piece in cuts::pieces(bytes, lengths) {
            if writer.write_all(piece).await.is_err() {
                return;
            }
            yield_now().await;
        }
        for _ in 0..TURNS {
            yield_now().await;
        }
        // An error means that the other side was faster.
        let _ = writer.shutdown().await;
    };
    let mut answer = Vec::new();
    let (_, read) = tokio::join!(writing, reader.read_to_end(&mut answer));
    read.expect("memory does not fail");
    answer
}

fn check_traces(traces: &Traces, proves_nothing: bool) {
    for record in &traces.records {
        assert!(json::read(record).is_ok(), "{}", record.escape_ascii());
    }
    let is_declared = |name: &String| name == "api.good.test" || name == "tunnel.test";
    assert!(traces.asked.iter().all(is_declared), "{:?}", traces.asked);
    assert!(traces.dials <= traces.asked.len());
    assert!(traces.asked.is_empty() || !proves_nothing);
}

fn holds(bytes: &[u8], part: &str) -> bool {
    bytes.windows(part.len()).any(|it| it == part.as_bytes())
}
