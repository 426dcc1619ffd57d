//! The stand-in API: TLS on loopback, a certificate of its own CA, and an answer for whoever has the key.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;
use http::{Request, Response, StatusCode};
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use rustls::ServerConfig;
use rustls_pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsAcceptor;

/// A running stand-in. It ends with the process.
pub(super) struct Api {
    address: SocketAddr,
    ca_pem: String,
    seen: Arc<Mutex<Vec<String>>>,
}

impl Api {
    /// Starts it on a thread of its own.
    pub(super) fn start(host: &str, key: &'static str) -> anyhow::Result<Self> {
        let (config, ca_pem) = certificate(host)?;
        let listener = std::net::TcpListener::bind(("127.0.0.1", 0))?;
        let address = listener.local_addr()?;
        listener.set_nonblocking(true)?;
        let seen = Arc::new(Mutex::new(Vec::new()));
        let stand_in = StandIn {
            key,
            seen: seen.clone(),
        };
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()?;
        std::thread::Builder::new()
            .name("stand-in-api".into())
            .spawn(move || runtime.block_on(accept(listener, config, stand_in)))?;
        Ok(Self {
            address,
            ca_pem,
            seen,
        })
    }

    pub(super) fn address(&self) -> SocketAddr {
        self.address
    }

    pub(super) fn ca_pem(&self) -> &str {
        &self.ca_pem
    }

    /// What came since the last call.
    pub(super) fn seen(&self) -> String {
        let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        let requests = std::mem::take(&mut *seen);
        if requests.is_empty() {
            "nothing: no lookup, no connection, no byte".into()
        } else {
            requests.join("\n\n")
        }
    }
}

fn certificate(host: &str) -> anyhow::Result<(Arc<ServerConfig>, String)> {
    let mut params = CertificateParams::default();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let ca = CertifiedIssuer::self_signed(params, KeyPair::generate()?)?;
    let key = KeyPair::generate()?;
    let leaf = CertificateParams::new(vec![host.to_owned()])?.signed_by(&key, &ca)?;
    let key = PrivateKeyDer::from(PrivatePkcs8KeyDer::from(key.serialize_der()));
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()?
        .with_no_client_auth()
        .with_single_cert(vec![leaf.der().clone()], key)?;
    Ok((Arc::new(config), ca.pem()))
}

#[derive(Clone)]
struct StandIn {
    key: &'static str,
    seen: Arc<Mutex<Vec<String>>>,
}

async fn accept(listener: std::net::TcpListener, config: Arc<ServerConfig>, stand_in: StandIn) {
    let Ok(listener) = TcpListener::from_std(listener) else {
        return;
    };
    while let Ok((stream, _)) = listener.accept().await {
        tokio::spawn(serve(
            TlsAcceptor::from(config.clone()),
            stream,
            stand_in.clone(),
        ));
    }
}

async fn serve(acceptor: TlsAcceptor, stream: TcpStream, stand_in: StandIn) {
    let Ok(stream) = acceptor.accept(stream).await else {
        return;
    };
    let service = service_fn(move |request| {
        let answer = stand_in.answer(&request);
        async move { Ok::<_, Infallible>(answer) }
    });
    let serving = http1::Builder::new().serve_connection(TokioIo::new(stream), service);
    if let Err(error) = serving.await {
        tracing::debug!(%error, "the stand-in lost a connection");
    }
}

impl StandIn {
    fn answer(&self, request: &Request<Incoming>) -> Response<Full<Bytes>> {
        let headers = request.headers().iter();
        let headers = headers.map(|(name, value)| {
            format!("{name}: {}\n", String::from_utf8_lossy(value.as_bytes()))
        });
        let seen = format!(
            "{} {}\n{}",
            request.method(),
            request.uri(),
            headers.collect::<String>()
        );
        self.seen
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .push(seen);
        let query = request.uri().query().unwrap_or_default();
        let has_key = query
            .split('&')
            .any(|pair| pair.strip_prefix("appid=") == Some(self.key));
        let (status, text) = if has_key {
            (
                StatusCode::OK,
                r#"{"weather":[{"description":"clear sky"}]}"#,
            )
        } else {
            (StatusCode::UNAUTHORIZED, r#"{"message":"Invalid API key"}"#)
        };
        let mut response = Response::new(Full::new(Bytes::from_static(text.as_bytes())));
        *response.status_mut() = status;
        response
    }
}
