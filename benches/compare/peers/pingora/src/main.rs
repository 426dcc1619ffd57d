//! A small proxy on pingora: absolute-form requests, to plain origins and carried to TLS, with no filter that decides.
//!
//! As sparing as the framework allows: one thread without work stealing on its one core, connections kept to both
//! sides, HTTP/1.1, exeat's allocator, and a table of hosts instead of a resolver. pingora answers no CONNECT itself.

use std::env;
use std::error::Error;
use std::net::Ipv4Addr;

use async_trait::async_trait;
use pingora::http::RequestHeader;
use pingora::proxy::ProxyHttp;
use pingora::proxy::Session;
use pingora::proxy::http_proxy_service;
use pingora::server::Server;
use pingora::server::configuration::ServerConf;
use pingora::upstreams::peer::HttpPeer;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> Result<(), Box<dyn Error>> {
    let folder = env::var("PEER_FOLDER")?;
    let configuration = ServerConf {
        threads: 1,
        work_stealing: false,
        ca_file: Some(env::var("PEER_CA")?),
        upstream_keepalive_pool_size: 1_024,
        pid_file: format!("{folder}/pid"),
        upgrade_sock: format!("{folder}/upgrade"),
        ..ServerConf::default()
    };
    let gate = Gate {
        plain_host: env::var("PEER_PLAIN_HOST")?,
        tls_host: env::var("PEER_TLS_HOST")?,
    };
    let mut server = Server::new_with_opt_and_conf(None, configuration);
    server.bootstrap();
    let mut service = http_proxy_service(&server.configuration, gate);
    service.add_tcp(&format!(
        "{}:{}",
        Ipv4Addr::LOCALHOST,
        env::var("PEER_PORT")?
    ));
    server.add_service(service);
    server.run_forever()
}

struct Gate {
    plain_host: String,
    tls_host: String,
}

#[async_trait]
impl ProxyHttp for Gate {
    type CTX = ();

    fn new_ctx(&self) {}

    async fn upstream_peer(
        &self,
        session: &mut Session,
        (): &mut (),
    ) -> pingora::Result<Box<HttpPeer>> {
        // pingora has seen to it that an absolute-form target names the same.
        let header = session.get_header("host").and_then(|it| it.to_str().ok());
        let (host, port) = header.and_then(|it| it.split_once(':')).unwrap_or_default();
        let is_tls = host == self.tls_host;
        let port = match port.parse() {
            Ok(port) if is_tls || host == self.plain_host => port,
            _ => {
                return pingora::Error::e_explain(
                    pingora::HTTPStatus(403),
                    "the host is not in the table",
                );
            }
        };
        let address: (Ipv4Addr, u16) = (Ipv4Addr::LOCALHOST, port);
        Ok(Box::new(HttpPeer::new(address, is_tls, host.to_owned())))
    }

    /// In origin-form: the URI is without its authority, which what came over the wire is not.
    async fn upstream_request_filter(
        &self,
        _: &mut Session,
        request: &mut RequestHeader,
        (): &mut (),
    ) -> pingora::Result<()> {
        request.set_uri(request.uri.clone());
        Ok(())
    }
}
