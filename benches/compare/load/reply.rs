//! One reply, read to its end from a connection that stays open.

use anyhow::Context;
use anyhow::ensure;
use tokio::io::AsyncReadExt;

use crate::load::client::Stream;
use crate::load::plan::Expected;

/// A reply in the buffer of its client.
pub(super) struct Reply<'b> {
    pub(super) status: u16,
    /// The session of MCP that it opens.
    pub(super) session: Option<String>,
    body: &'b [u8],
}

impl Reply<'_> {
    /// Anything but what is expected is an error.
    pub(super) fn expect(&self, expected: Expected) -> anyhow::Result<()> {
        let text = || String::from_utf8_lossy(self.body).into_owned();
        let status = match expected {
            Expected::Status(status) => status,
            Expected::Length(_) | Expected::Text(_) => 200,
        };
        ensure!(self.status == status, "{}: {}", self.status, text());
        match expected {
            Expected::Status(_) => {}
            Expected::Length(length) => {
                let got = self.body.len();
                ensure!(got == length, "{got} bytes where {length} were expected");
            }
            Expected::Text(words) => {
                let found = memchr::memmem::find(self.body, words.as_bytes());
                ensure!(found.is_some(), "no {words}: {}", text());
            }
        }
        Ok(())
    }
}

/// Reads one reply, whose body may be chunked; its framing counts as body then.
pub(super) async fn read<'b>(
    stream: &mut (impl Stream + ?Sized),
    buffer: &'b mut [u8],
) -> anyhow::Result<Reply<'b>> {
    let (mut filled, mut head) = (0, None);
    loop {
        ensure!(filled < buffer.len(), "the reply is longer than expected");
        let count = stream.read(&mut buffer[filled..]).await?;
        ensure!(count > 0, "the connection was closed");
        filled += count;
        if head.is_none() {
            head = Head::read(&buffer[..filled])?;
        }
        if head
            .as_ref()
            .is_some_and(|it| it.is_whole(&buffer[..filled]))
        {
            break;
        }
    }
    let head = head.context("a reply without a head")?;
    Ok(Reply {
        status: head.status,
        session: head.session,
        body: &buffer[head.length..filled],
    })
}

struct Head {
    status: u16,
    /// Its own bytes.
    length: usize,
    /// Of the body; `None` for chunks.
    body: Option<usize>,
    session: Option<String>,
}

impl Head {
    /// `None` where there is more of it to come.
    fn read(bytes: &[u8]) -> anyhow::Result<Option<Self>> {
        let mut fields = [httparse::EMPTY_HEADER; 32];
        let mut head = httparse::Response::new(&mut fields);
        let httparse::Status::Complete(length) = head.parse(bytes)? else {
            return Ok(None);
        };
        let named = |name: &str| {
            let found = head
                .headers
                .iter()
                .find(|it| it.name.eq_ignore_ascii_case(name));
            found.map(|it| String::from_utf8_lossy(it.value).into_owned())
        };
        let announced = named("content-length").map(|it| it.parse()).transpose()?;
        Ok(Some(Self {
            status: head.code.context("a reply without a status")?,
            length,
            body: match named("transfer-encoding") {
                Some(_) => None,
                None => Some(announced.unwrap_or(0)),
            },
            session: named("mcp-session-id"),
        }))
    }

    fn is_whole(&self, bytes: &[u8]) -> bool {
        match self.body {
            Some(body) => bytes.len() >= self.length + body,
            // No JSON and no event has a CR LF in it.
            None => bytes.ends_with(b"\r\n0\r\n\r\n"),
        }
    }
}
