//! A client's share of a connection that speaks HTTP/2.

use anyhow::Context;
use anyhow::ensure;
use bytes::Bytes;
use http::Request;
use http_body_util::BodyExt;
use http_body_util::Empty;
use hyper::client::conn::http2;
use hyper_util::rt::TokioExecutor;
use hyper_util::rt::TokioIo;

use crate::load::client::Stream;

/// One of those who share a connection.
#[derive(Clone)]
pub(super) struct Share {
    sender: http2::SendRequest<Empty<Bytes>>,
    request: Request<Empty<Bytes>>,
    bytes: usize,
}

impl Share {
    /// The first of those who share the connection; the others are its clones.
    pub(super) async fn open(
        stream: impl Stream + 'static,
        request: &Request<Empty<Bytes>>,
        bytes: usize,
    ) -> anyhow::Result<Self> {
        let (sender, connection) =
            http2::handshake(TokioExecutor::new(), TokioIo::new(stream)).await?;
        // Its error reaches the requests on it.
        tokio::spawn(connection);
        Ok(Self {
            sender,
            request: request.clone(),
            bytes,
        })
    }

    pub(super) async fn ask(&mut self) -> anyhow::Result<()> {
        self.sender.ready().await?;
        let reply = self.sender.send_request(self.request.clone()).await?;
        let (head, mut body) = reply.into_parts();
        let mut got = 0;
        while let Some(frame) = body.frame().await {
            let frame = frame.context("the body broke off")?;
            got += frame.data_ref().map_or(0, Bytes::len);
        }
        ensure!(head.status == 200, "{}", head.status);
        let length = self.bytes;
        ensure!(got == length, "{got} bytes where {length} were expected");
        Ok(())
    }
}
