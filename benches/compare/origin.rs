//! The API behind the proxies: JSON of 1 KB and 64 KB over HTTP and TLS, as cheap as a hyper server gets.
//!
//! It can also hold its replies back until so and so many requests have come: then as many are under way.

use std::collections::HashMap;
use std::convert::Infallible;
use std::net::Ipv4Addr;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::PoisonError;

use bytes::Bytes;
use clap::ValueEnum;
use http::Request;
use http::Response;
use http::StatusCode;
use http::header::CONTENT_TYPE;
use http::header::HeaderValue;
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::server::conn::http2;
use hyper::service::service_fn;
use hyper_util::rt::TokioExecutor;
use hyper_util::rt::TokioIo;
use serde::Deserialize;
use serde::Serialize;
use tokio::io::AsyncRead;
use tokio::io::AsyncWrite;
use tokio::net::TcpListener;
use tokio::sync::Barrier;
use tokio_rustls::TlsAcceptor;

use crate::certs;
use crate::process;

/// The host that the plain listener plays.
pub(crate) const PLAIN_HOST: &str = "plain.loopback.test";
/// The host that the TLS listeners play.
pub(crate) const TLS_HOST: &str = "tls.loopback.test";
/// The same for those who ask for it through a tunnel that nobody opens.
pub(crate) const TUNNEL_HOST: &str = "tunnel.loopback.test";

/// The domain of hosts that are only ever connected to: what is below it are as many as are asked for.
pub(crate) const MANY_HOSTS: &str = "many.loopback.test";

/// How many bytes of JSON a reply has.
#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Size {
    /// 1,024 bytes.
    #[value(name = "1k")]
    Small,
    /// 65,536 bytes.
    #[value(name = "64k")]
    Large,
}

impl Size {
    /// Length of the reply's body.
    pub(crate) const fn bytes(self) -> usize {
        match self {
            Self::Small => 1024,
            Self::Large => 64 * 1024,
        }
    }

    /// As it stands in the path and in tables.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Small => "1k",
            Self::Large => "64k",
        }
    }

    /// The target of a request for this size: a path parameter and two query parameters, as an API call has them.
    pub(crate) fn path(self) -> String {
        format!("/v1/documents/{}?lang=en&page=1", self.name())
    }

    /// The same as parameters of a call.
    pub(crate) fn parameters(self) -> String {
        format!(r#"{{"size": "{}", "lang": "en", "page": 1}}"#, self.name())
    }
}

/// The action whose replies are held back.
pub(crate) const TOGETHER: &str = "get_together";

/// Its path, as a policy has it.
pub(crate) const TOGETHER_PATH: &str = "/v1/together/{{count}}";

/// The target of a request that is answered when `count` of them have come.
pub(crate) fn together(count: usize) -> String {
    format!("{HELD}{count}")
}

const HELD: &str = "/v1/together/";

/// The API behind the proxies.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// Folder of the throwaway CA.
    #[arg(long)]
    ca: PathBuf,
}

/// The line that the origin prints once it listens.
#[derive(Serialize, Deserialize)]
pub(crate) struct Ready {
    /// Port of the plain listener.
    pub(crate) plain: u16,
    /// Port of the TLS listener that speaks HTTP/1.1 only.
    pub(crate) tls: u16,
    /// Port of the TLS listener that prefers HTTP/2.
    pub(crate) http2: u16,
}

/// Serves until standard input ends.
pub(crate) fn run(args: &Args) -> anyhow::Result<()> {
    process::end_with_parent();
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?
        .block_on(serve(args))
}

async fn serve(args: &Args) -> anyhow::Result<()> {
    let mut config = certs::server(&args.ca, [TLS_HOST, TUNNEL_HOST].map(str::to_owned))?;
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    let mut prefers_http2 = config.clone();
    prefers_http2.alpn_protocols.insert(0, b"h2".to_vec());
    let [plain, tls, http2] = [bind().await?, bind().await?, bind().await?];
    process::print_ready(&Ready {
        plain: plain.local_addr()?.port(),
        tls: tls.local_addr()?.port(),
        http2: http2.local_addr()?.port(),
    })?;
    let documents = Documents::new();
    tokio::try_join!(
        accept(plain, None, &documents),
        accept(tls, Some(Arc::new(config).into()), &documents),
        accept(http2, Some(Arc::new(prefers_http2).into()), &documents),
    )?;
    Ok(())
}

async fn bind() -> std::io::Result<TcpListener> {
    TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await
}

async fn accept(
    listener: TcpListener,
    tls: Option<TlsAcceptor>,
    documents: &Documents,
) -> anyhow::Result<()> {
    loop {
        let (socket, _) = listener.accept().await?;
        socket.set_nodelay(true)?;
        let (tls, documents) = (tls.clone(), documents.clone());
        tokio::spawn(async move {
            match tls {
                None => documents.answer_all(socket, false).await,
                Some(tls) => match tls.accept(socket).await {
                    Ok(stream) => {
                        let is_http2 = stream.get_ref().1.alpn_protocol() == Some(b"h2");
                        documents.answer_all(stream, is_http2).await;
                    }
                    Err(error) => eprintln!("origin: TLS: {error}"),
                },
            }
        });
    }
}

#[derive(Clone)]
struct Documents {
    small: Bytes,
    large: Bytes,
    /// Where requests wait for each other, by how many they are to be.
    together: Arc<Mutex<HashMap<usize, Arc<Barrier>>>>,
}

impl Documents {
    fn new() -> Self {
        Self {
            small: json(Size::Small.bytes()),
            large: json(Size::Large.bytes()),
            together: Arc::default(),
        }
    }

    async fn answer_all(
        self,
        io: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
        is_http2: bool,
    ) {
        let service = service_fn(move |request| {
            let documents = self.clone();
            async move { Ok::<_, Infallible>(documents.answer(&request).await) }
        });
        let io = TokioIo::new(io);
        // The error of a client that went away is nobody's news.
        if is_http2 {
            let serving = http2::Builder::new(TokioExecutor::new()).serve_connection(io, service);
            let _ = serving.await;
        } else {
            let _ = http1::Builder::new().serve_connection(io, service).await;
        }
    }

    async fn answer(&self, request: &Request<Incoming>) -> Response<Full<Bytes>> {
        let (status, body) = match request.uri().path() {
            "/v1/documents/1k" => (StatusCode::OK, self.small.clone()),
            "/v1/documents/64k" => (StatusCode::OK, self.large.clone()),
            other => match other.strip_prefix(HELD).map(str::parse) {
                Some(Ok(count)) => {
                    self.barrier(count).wait().await;
                    (StatusCode::OK, self.small.clone())
                }
                _ => (StatusCode::NOT_FOUND, Bytes::new()),
            },
        };
        let mut response = Response::new(Full::new(body));
        *response.status_mut() = status;
        response
            .headers_mut()
            .insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        response
    }

    fn barrier(&self, count: usize) -> Arc<Barrier> {
        let together = self.together.lock();
        let mut together = together.unwrap_or_else(PoisonError::into_inner);
        let new = || Arc::new(Barrier::new(count));
        together.entry(count).or_insert_with(new).clone()
    }
}

/// A JSON object of exactly `length` bytes with the usual mix of short strings and numbers.
fn json(length: usize) -> Bytes {
    let mut text = String::from(r#"{"items":["#);
    for id in 0.. {
        let item = format!(r#"{{"id":{id},"name":"item {id}","price":{}.5}},"#, id * 7);
        if text.len() + item.len() + r#"null],"pad":""}"#.len() > length {
            break;
        }
        text.push_str(&item);
    }
    text.push_str(r#"null],"pad":""#);
    text.extend(std::iter::repeat_n('x', length - text.len() - 2));
    text.push_str("\"}");
    Bytes::from(text)
}
