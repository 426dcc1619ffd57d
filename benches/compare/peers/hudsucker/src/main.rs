//! A small proxy on hudsucker: absolute-form requests, tunnels, and interception, with a handler that decides nothing.
//!
//! As sparing as the framework allows: one current-thread runtime on its one core, connections kept to both sides, no
//! rewriting of the case of headers, exeat's allocator, and a table of hosts instead of a resolver.

use std::convert::Infallible;
use std::env;
use std::error::Error;
use std::fs;
use std::future::Ready;
use std::future::ready;
use std::net::Ipv4Addr;
use std::net::SocketAddr;
use std::sync::Arc;
use std::task::Context;
use std::task::Poll;

use hudsucker::Body;
use hudsucker::HttpContext;
use hudsucker::HttpHandler;
use hudsucker::Proxy;
use hudsucker::RequestOrResponse;
use hudsucker::certificate_authority::RcgenAuthority;
use hudsucker::hyper::Request;
use hudsucker::hyper::Uri;
use hudsucker::hyper::http::uri::Scheme;
use hudsucker::rcgen::Issuer;
use hudsucker::rcgen::KeyPair;
use hudsucker::rustls::ClientConfig;
use hudsucker::rustls::RootCertStore;
use hudsucker::rustls::crypto::aws_lc_rs;
use hudsucker::rustls::pki_types::CertificateDer;
use hudsucker::rustls::pki_types::pem::PemObject;
use hyper_rustls::HttpsConnector;
use hyper_rustls::HttpsConnectorBuilder;
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::client::legacy::connect::dns::Name;
use hyper_util::rt::TokioExecutor;
use hyper_util::server::conn::auto;
use tower_service::Service;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> Result<(), Box<dyn Error>> {
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?
        .block_on(serve())
}

async fn serve() -> Result<(), Box<dyn Error>> {
    let port: u16 = env::var("PEER_PORT")?.parse()?;
    let ca = fs::read_to_string(env::var("PEER_CA")?)?;
    let key = KeyPair::from_pem(&fs::read_to_string(env::var("PEER_CA_KEY")?)?)?;
    let issuer = Issuer::from_ca_cert_pem(&ca, key)?;
    Proxy::builder()
        .with_addr((Ipv4Addr::LOCALHOST, port).into())
        .with_ca(RcgenAuthority::new(
            issuer,
            1_000,
            aws_lc_rs::default_provider(),
        ))
        .with_http_connector(connector(&ca)?)
        // Its own choice of client and server writes the names of headers in title case, which costs time.
        .with_client(Client::builder(TokioExecutor::new()))
        .with_server(auto::Builder::new(TokioExecutor::new()))
        .with_http_handler(Handler {
            carried: env::var("PEER_TLS_HOST")?.into(),
            unopened: env::var("PEER_TUNNEL_HOST")?.into(),
        })
        .build()?
        .start()
        .await?;
    Ok(())
}

/// Believes the CA of the bench, and nobody else.
fn connector(ca: &str) -> Result<HttpsConnector<HttpConnector<Loopback>>, Box<dyn Error>> {
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from_pem_slice(ca.as_bytes())?)?;
    let tls = ClientConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
        .with_safe_default_protocol_versions()?
        .with_root_certificates(roots)
        .with_no_client_auth();
    let mut http = HttpConnector::new_with_resolver(Loopback);
    http.enforce_http(false);
    http.set_nodelay(true);
    Ok(HttpsConnectorBuilder::new()
        .with_tls_config(tls)
        .https_or_http()
        .enable_http1()
        .enable_http2()
        .wrap_connector(http))
}

#[derive(Clone)]
struct Handler {
    /// Whose absolute-form `http://` goes on as `https://`.
    carried: Arc<str>,
    /// Whose tunnels are left alone.
    unopened: Arc<str>,
}

impl HttpHandler for Handler {
    async fn handle_request(
        &mut self,
        _: &HttpContext,
        mut request: Request<Body>,
    ) -> RequestOrResponse {
        let uri = request.uri();
        if uri.scheme() == Some(&Scheme::HTTP) && uri.host() == Some(&self.carried) {
            let mut parts = uri.clone().into_parts();
            parts.scheme = Some(Scheme::HTTPS);
            if let Ok(uri) = Uri::from_parts(parts) {
                *request.uri_mut() = uri;
            }
        }
        request.into()
    }

    async fn should_intercept_connect(&mut self, _: &HttpContext, request: &Request<Body>) -> bool {
        request.uri().host() != Some(&self.unopened)
    }
}

/// Every host of the bench is this machine.
#[derive(Clone)]
struct Loopback;

impl Service<Name> for Loopback {
    type Response = std::iter::Once<SocketAddr>;
    type Error = Infallible;
    type Future = Ready<Result<Self::Response, Infallible>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, _: Name) -> Self::Future {
        ready(Ok(std::iter::once((Ipv4Addr::LOCALHOST, 0).into())))
    }
}
