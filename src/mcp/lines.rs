//! MCP over stdio: one message a line, both ways, for the client that started this process.

use std::io::ErrorKind;
use std::sync::Arc;

use bytes::Bytes;
use rmcp::model::{ClientJsonRpcMessage, ServerJsonRpcMessage};
use rmcp::transport::Transport;
use rmcp::{RoleServer, serve_server};
use tokio::io::{
    AsyncBufRead, AsyncBufReadExt as _, AsyncRead, AsyncWrite, AsyncWriteExt as _, BufReader,
};
use tokio::sync::mpsc;
use tokio::task::JoinHandle;

use crate::exchange::Gate;
use crate::mcp::calls::Calls;
use crate::mcp::face::{Face, Place, Whose};
use crate::mcp::message::{Message, Unreadable};
use crate::request::Caller;

/// Longest line. A call's own limits come after it; this is what a line may take of memory before it is understood.
const LONGEST: usize = 16 << 20;

/// Answers that wait until the client reads. Past it, calls wait with theirs.
const WAITING: usize = 16;

/// Serves one client until its input ends. All calls are this caller's.
///
/// # Errors
/// The client did not begin as MCP has it, or went away before it had begun.
pub async fn serve<R, W>(
    gate: Arc<Gate>,
    caller: Caller,
    (input, output): (R, W),
) -> Result<(), Begin>
where
    R: AsyncRead + Send + Unpin + 'static,
    W: AsyncWrite + Send + Unpin + 'static,
{
    let calls = Calls::new();
    let place = Arc::new(Place { gate, calls });
    let face = Face::new(place.clone(), Whose::One(caller.clone()));
    let lines = Lines::new(BufReader::new(input), output, (place, caller));
    let serving = serve_server(face, lines).await;
    let serving = serving.map_err(|error| Begin(error.to_string()))?;
    // A task that panicked has told so itself.
    let _ = serving.waiting().await;
    Ok(())
}

/// The client did not begin as MCP has it.
#[derive(Debug)]
pub struct Begin(String);

impl std::fmt::Display for Begin {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "the client did not begin as MCP has it: {}", self.0)
    }
}

impl std::error::Error for Begin {}

/// Both directions.
struct Lines<R> {
    input: Input<R>,
    output: Option<mpsc::Sender<Bytes>>,
    writing: JoinHandle<()>,
    /// The answer to a line that could not be read, until there is room for it.
    complaint: Option<Bytes>,
    /// Where such a line is recorded, and whose it is.
    record: (Arc<Place>, Caller),
}

impl<R: AsyncBufRead + Send + Unpin> Lines<R> {
    fn new<W>(input: R, output: W, record: (Arc<Place>, Caller)) -> Self
    where
        W: AsyncWrite + Send + Unpin + 'static,
    {
        let (sender, waiting) = mpsc::channel(WAITING);
        Self {
            input: Input::new(input),
            output: Some(sender),
            writing: tokio::spawn(write(output, waiting)),
            complaint: None,
            record,
        }
    }

    /// Whatever happens, nothing is lost when this future is dropped half-way: rmcp does so whenever it has something
    /// else to do.
    async fn next(&mut self) -> Option<ClientJsonRpcMessage> {
        loop {
            if let (Some(complaint), Some(output)) = (&self.complaint, &self.output) {
                output.reserve().await.ok()?.send(complaint.clone());
                self.complaint = None;
            }
            match read(self.input.line().await?) {
                Ok(None) => {}
                Ok(Some(message)) => return Some(message),
                Err(unreadable) => {
                    let (place, caller) = &self.record;
                    place.turn_away(caller, unreadable.refusal());
                    self.complaint = Some(line(&unreadable.to_json()));
                }
            }
        }
    }
}

impl<R: AsyncBufRead + Send + Unpin> Transport<RoleServer> for Lines<R> {
    type Error = std::io::Error;

    fn send(
        &mut self,
        message: ServerJsonRpcMessage,
    ) -> impl Future<Output = Result<(), Self::Error>> + Send + 'static {
        let output = self.output.clone();
        async move {
            let gone = || std::io::Error::from(ErrorKind::BrokenPipe);
            let output = output.ok_or_else(gone)?;
            output.send(line(&message)).await.map_err(|_| gone())
        }
    }

    async fn receive(&mut self) -> Option<ClientJsonRpcMessage> {
        self.next().await
    }

    async fn close(&mut self) -> Result<(), Self::Error> {
        self.output = None;
        (&mut self.writing).await.map_err(std::io::Error::other)
    }
}

/// An empty line is none.
fn read(line: Result<Vec<u8>, TooLong>) -> Result<Option<ClientJsonRpcMessage>, Unreadable> {
    let line = line.map_err(|TooLong| Unreadable::too_long(LONGEST))?;
    if line.trim_ascii().is_empty() {
        return Ok(None);
    }
    let message = Message::read(&line)?.into_value();
    let message = serde_json::from_value(message).map_err(|_| Unreadable::no_message())?;
    Ok(Some(message))
}

fn line(message: &impl serde::Serialize) -> Bytes {
    let mut bytes = serde_json::to_vec(message).expect("a message has only string keys");
    bytes.push(b'\n');
    bytes.into()
}

async fn write<W: AsyncWrite + Unpin>(mut output: W, mut waiting: mpsc::Receiver<Bytes>) {
    while let Some(line) = waiting.recv().await {
        let written = async {
            output.write_all(&line).await?;
            output.flush().await
        };
        if let Err(error) = written.await {
            tracing::debug!(%error, "the client does not read any more");
            return;
        }
    }
}

/// The incoming lines.
struct Input<R> {
    input: R,
    /// What has come of the next line.
    begun: Vec<u8>,
    /// What of a line that is too long is still to come is passed over.
    passing_over: bool,
}

struct TooLong;

impl<R: AsyncBufRead + Unpin> Input<R> {
    fn new(input: R) -> Self {
        Self {
            input,
            begun: Vec::new(),
            passing_over: false,
        }
    }

    /// The next line, without its end; the last one may do without. `None` at the end of the input.
    async fn line(&mut self) -> Option<Result<Vec<u8>, TooLong>> {
        loop {
            let chunk = self.input.fill_buf().await.ok()?;
            if chunk.is_empty() {
                let last = std::mem::take(&mut self.begun);
                return (!last.is_empty()).then_some(Ok(last));
            }
            let end = memchr::memchr(b'\n', chunk);
            let taken = end.map_or(chunk.len(), |at| at + 1);
            if !self.passing_over {
                self.begun.extend_from_slice(&chunk[..end.unwrap_or(taken)]);
            }
            self.input.consume(taken);
            if self.begun.len() > LONGEST {
                self.begun = Vec::new();
                self.passing_over = true;
            }
            if end.is_some() {
                let line = std::mem::take(&mut self.begun);
                return Some(match std::mem::take(&mut self.passing_over) {
                    true => Err(TooLong),
                    false => Ok(line),
                });
            }
        }
    }
}
