//! A client that speaks HTTP/2 inside a tunnel, and reads a reply frame by frame.

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::{BodyExt as _, Empty};
use hyper::body::{Frame, Incoming};
use hyper::client::conn::http2::{SendRequest, handshake};
use hyper_util::rt::{TokioExecutor, TokioIo};
use rustls_pki_types::ServerName;
use tokio::net::TcpStream;
use tokio::runtime::Runtime;
use tokio_rustls::TlsConnector;

use super::client::Client;

/// A reply whose head has come.
pub struct Http2 {
    runtime: Runtime,
    reply: Response<Incoming>,
    // Without it the connection would close.
    _connection: SendRequest<Empty<Bytes>>,
}

impl Client {
    /// GET in a tunnel of its own, with these headers.
    pub fn http2(&self, host: &str, path: &str, headers: &[(&str, &str)]) -> Http2 {
        let (answer, stream) = self.open(&format!("{host}:443"), &[]);
        assert_eq!(answer.status, 200, "{answer:?}");
        stream.set_nonblocking(true).unwrap();
        let mut config = self.tls();
        config.alpn_protocols = vec![b"h2".to_vec()];
        let mut request = Request::get(format!("https://{host}{path}"));
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let request = request.body(Empty::new()).unwrap();
        let name = ServerName::try_from(host.to_owned()).unwrap();
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .unwrap();
        let (connection, reply) = runtime.block_on(async {
            let stream = TcpStream::from_std(stream).unwrap();
            let tls = TlsConnector::from(std::sync::Arc::new(config));
            let stream = tls.connect(name, stream).await.unwrap();
            let shaken = handshake(TokioExecutor::new(), TokioIo::new(stream)).await;
            let (mut sender, connection) = shaken.unwrap();
            tokio::spawn(connection);
            let reply = sender.send_request(request).await.unwrap();
            (sender, reply)
        });
        Http2 {
            runtime,
            reply,
            _connection: connection,
        }
    }
}

impl Http2 {
    /// The status.
    pub fn status(&self) -> u16 {
        self.reply.status().as_u16()
    }

    /// The next frame that is not empty; `None` at the end.
    pub fn next(&mut self) -> Option<Frame<Bytes>> {
        loop {
            let frame = self.reply.body_mut().frame();
            let frame = self.runtime.block_on(frame).transpose().unwrap();
            if frame
                .as_ref()
                .and_then(Frame::data_ref)
                .is_none_or(|it| !it.is_empty())
            {
                return frame;
            }
        }
    }

    /// So many bytes of the content, as they come.
    pub fn read(&mut self, bytes: usize) -> String {
        let mut text = Vec::new();
        while text.len() < bytes {
            text.extend_from_slice(self.next().unwrap().data_ref().unwrap());
        }
        String::from_utf8(text).unwrap()
    }
}
