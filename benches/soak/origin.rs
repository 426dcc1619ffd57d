//! The API behind exeat: quick, slow, large, streaming, or breaking off in the middle, as its path says.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio::time::sleep;
use tokio_rustls::TlsAcceptor;

use crate::certs;

/// Its names: a host is either in clear or over TLS.
pub(crate) const PLAIN: &str = "plain.soak.test";
pub(crate) const SECURE: &str = "secure.soak.test";

/// Bytes of a large reply: more than the buffers of all sockets on the way take.
pub(crate) const LARGE: usize = 4 * 1024 * 1024;

/// Events of a stream.
pub(crate) const EVENTS: usize = 5;

const SLOW: Duration = Duration::from_millis(300);

/// Its ports.
#[derive(Clone, Copy)]
pub(crate) struct Origin {
    pub(crate) plain: u16,
    pub(crate) tls: u16,
}

/// Listens on both.
pub(crate) async fn start(folder: &Path) -> anyhow::Result<Origin> {
    let acceptor = TlsAcceptor::from(Arc::new(certs::server(folder, [SECURE.to_owned()])?));
    let plain = listen().await?;
    let tls = listen().await?;
    let origin = Origin {
        plain: plain.local_addr()?.port(),
        tls: tls.local_addr()?.port(),
    };
    tokio::spawn(async move {
        while let Ok((stream, _)) = plain.accept().await {
            tokio::spawn(serve(stream));
        }
    });
    tokio::spawn(async move {
        while let Ok((stream, _)) = tls.accept().await {
            let acceptor = acceptor.clone();
            tokio::spawn(async move {
                if let Ok(stream) = acceptor.accept(stream).await {
                    serve(stream).await;
                }
            });
        }
    });
    Ok(origin)
}

async fn listen() -> std::io::Result<TcpListener> {
    TcpListener::bind("127.0.0.1:0").await
}

/// Answers requests until the connection ends, whoever ends it.
async fn serve(mut stream: impl AsyncRead + AsyncWrite + Unpin) {
    let mut buffer = Vec::new();
    while let Some(path) = read_request(&mut stream, &mut buffer).await {
        if answer(&mut stream, &path).await.is_err() || path == "/cut" {
            return;
        }
    }
}

async fn answer(stream: &mut (impl AsyncWrite + Unpin), path: &str) -> std::io::Result<()> {
    const TYPE: &str = "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\n";
    match path {
        "/events" => {
            let head = "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n";
            stream.write_all(head.as_bytes()).await?;
            for _ in 0..EVENTS {
                stream.write_all(b"a\r\ndata: it\n\n\r\n").await?;
                stream.flush().await?;
                sleep(SLOW / 3).await;
            }
            stream.write_all(b"0\r\n\r\n").await?;
        }
        "/cut" => {
            let head = format!("{TYPE}Content-Length: 1000\r\n\r\nhalf");
            stream.write_all(head.as_bytes()).await?;
        }
        "/large" => {
            let head = format!("{TYPE}Content-Length: {LARGE}\r\n\r\n");
            stream.write_all(head.as_bytes()).await?;
            stream.write_all(&vec![b'x'; LARGE]).await?;
        }
        _ => {
            if path == "/slow" {
                sleep(SLOW).await;
            }
            let head = format!("{TYPE}Content-Length: 1024\r\n\r\n");
            let reply = [head.as_bytes(), &[b'x'; 1024]].concat();
            stream.write_all(&reply).await?;
        }
    }
    stream.flush().await
}

/// The path of the next request, whose body is read.
async fn read_request(
    stream: &mut (impl AsyncRead + Unpin),
    buffer: &mut Vec<u8>,
) -> Option<String> {
    loop {
        if let Some(at) = buffer.windows(4).position(|it| it == b"\r\n\r\n") {
            let head: Vec<u8> = buffer.drain(..at + 4).collect();
            let head = String::from_utf8_lossy(&head).to_lowercase();
            let length = head
                .split_once("content-length: ")
                .map_or("0", |(_, it)| it);
            let length: usize = length.split("\r\n").next()?.parse().ok()?;
            while buffer.len() < length {
                more(stream, buffer).await?;
            }
            buffer.drain(..length);
            let path = head.split(' ').nth(1)?;
            return Some(path.split('?').next()?.to_owned());
        }
        more(stream, buffer).await?;
    }
}

async fn more(stream: &mut (impl AsyncRead + Unpin), buffer: &mut Vec<u8>) -> Option<()> {
    let read = stream.read_buf(buffer).await.ok()?;
    (read > 0).then_some(())
}
