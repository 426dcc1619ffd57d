//! A client that speaks HTTP/2 inside an intercepted tunnel, many requests on one connection.

use std::sync::Arc;

use bytes::Bytes;
use http::{HeaderName, HeaderValue, Request, Uri};
use http_body_util::{BodyExt as _, Full};
use hyper::client::conn::http2::{SendRequest, handshake};
use hyper_util::rt::{TokioExecutor, TokioIo};
use rustls_pki_types::ServerName;
use tokio::net::TcpStream;
use tokio::runtime::Runtime;
use tokio_rustls::TlsConnector;

use super::sends::Asked;
use crate::world::{Answer, Client};

/// One connection.
pub(super) struct Http2 {
    runtime: Runtime,
    sender: SendRequest<Full<Bytes>>,
}

impl Http2 {
    pub(super) fn open(client: &Client, host: &str) -> Self {
        let (answer, stream) = client.open(&format!("{host}:443"), &[]);
        assert_eq!(answer.status, 200, "{answer:?}");
        stream.set_nonblocking(true).unwrap();
        let mut config = client.tls();
        config.alpn_protocols = vec![b"h2".to_vec()];
        let name = ServerName::try_from(host.to_owned()).unwrap();
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .unwrap();
        let sender = runtime.block_on(async {
            let stream = TcpStream::from_std(stream).unwrap();
            let stream = TlsConnector::from(Arc::new(config))
                .connect(name, stream)
                .await
                .unwrap();
            let (sender, connection) = handshake(TokioExecutor::new(), TokioIo::new(stream))
                .await
                .unwrap();
            tokio::spawn(connection);
            sender
        });
        Self { runtime, sender }
    }

    /// Sends a request; none where the library cannot say it.
    pub(super) fn send(&mut self, host: &str, asked: &Asked) -> Option<Answer> {
        let uri: Uri = format!("https://{host}{}", asked.target).parse().ok()?;
        // A fragment would be left out in silence.
        if uri.path_and_query()?.as_str() != asked.target {
            return None;
        }
        let mut request = Request::builder().method(asked.method()).uri(uri);
        for line in &asked.headers {
            let (name, value) = line.split_once(':')?;
            let name = HeaderName::try_from(name.to_lowercase()).ok()?;
            request = request.header(name, HeaderValue::try_from(value.trim()).ok()?);
        }
        let request = request.body(Full::from(asked.body.clone())).unwrap();
        let Self { runtime, sender } = self;
        let (head, body) = runtime.block_on(async {
            let (head, body) = sender.send_request(request).await.unwrap().into_parts();
            (head, body.collect().await.unwrap().to_bytes())
        });
        let fields = head.headers.iter();
        let fields = fields.map(|(name, value)| format!("{name}: {}\r\n", value.to_str().unwrap()));
        Some(Answer {
            status: head.status.as_u16(),
            head: format!("HTTP/2 {}\r\n{}", head.status, fields.collect::<String>()),
            body: body.into(),
        })
    }
}
