//! TLS towards upstreams: whom we trust, what we offer, and what to say when a handshake fails.
//!
//! Certificates are always verified; there is no switch. Our own certificates are `authority`'s.

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustls::CertificateError;
use rustls::CipherSuite;
use rustls::ClientConfig;
use rustls::ProtocolVersion;
use rustls::RootCertStore;
use rustls::crypto::CryptoProvider;
use rustls::crypto::aws_lc_rs;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::ServerName;
use rustls::pki_types::pem::PemObject;
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use crate::fault::{Fault, FaultKind};
use crate::request::Host;

/// The client side of TLS for one identity. Cheap to clone; clones share the cache of resumable sessions.
#[derive(Clone)]
pub struct Tls {
    config: Arc<ClientConfig>,
}

/// Which versions of HTTP a handshake offers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Offer {
    /// HTTP/2, then HTTP/1.1.
    Both,
    /// HTTP/1.1 only, as upgrades to WebSocket need it.
    Http1,
}

/// A file of `extra_ca` that is of no use.
#[derive(Debug)]
pub struct BadCa {
    /// The file.
    pub path: PathBuf,
    /// What is wrong with it.
    pub reason: String,
}

impl fmt::Display for BadCa {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let path = self.path.display();
        write!(f, "extra_ca {path}: {}", self.reason)
    }
}

impl std::error::Error for BadCa {}

impl Tls {
    /// Trusts the roots of the operating system (those of Mozilla where it has none), and the PEM files besides.
    ///
    /// # Errors
    /// The first file that can't be read, holds no certificate, or holds one that can't be a root.
    pub fn load(extra_ca: &[PathBuf]) -> Result<Self, BadCa> {
        let mut roots = system_roots();
        for path in extra_ca {
            add_file(&mut roots, path)?;
        }
        Ok(Self::trusting(roots, Offer::Both))
    }

    /// Trusts exactly these roots.
    pub fn trusting(roots: RootCertStore, offer: Offer) -> Self {
        let config = ClientConfig::builder_with_provider(Arc::new(provider()))
            .with_safe_default_protocol_versions()
            .expect("aws-lc-rs has suites for TLS 1.2 and 1.3")
            .with_root_certificates(roots)
            .with_no_client_auth();
        Self {
            config: Arc::new(config),
        }
        .offering(offer)
    }

    /// The same trust and the same cache of sessions, offering other versions of HTTP.
    #[must_use]
    pub fn offering(&self, offer: Offer) -> Self {
        let mut config = ClientConfig::clone(&self.config);
        config.alpn_protocols = match offer {
            Offer::Both => vec![b"h2".to_vec(), b"http/1.1".to_vec()],
            Offer::Http1 => vec![b"http/1.1".to_vec()],
        };
        Self {
            config: Arc::new(config),
        }
    }

    /// Shakes hands with the server that must prove to be `host`.
    ///
    /// # Errors
    /// [`FaultKind::Tls`], with what is wrong with the certificate where that is the cause.
    pub(super) async fn handshake(
        &self,
        host: &Host,
        stream: TcpStream,
    ) -> Result<TlsStream<TcpStream>, Fault> {
        let name = ServerName::try_from(host.as_str().to_owned())
            .map_err(|error| Fault::new(FaultKind::Tls, format!("{host}: {error}")))?;
        let connector = TlsConnector::from(Arc::clone(&self.config));
        let handshake = connector.connect(name, stream).await;
        handshake.map_err(|error| {
            let reason = error.get_ref().and_then(|it| it.downcast_ref());
            let reason = reason.map_or_else(|| error.to_string(), explain);
            Fault::new(FaultKind::Tls, format!("TLS with {host} failed: {reason}"))
        })
    }
}

/// The version as OpenSSL and audit records write it.
pub(super) fn version(version: ProtocolVersion) -> &'static str {
    match version {
        ProtocolVersion::TLSv1_3 => "TLSv1.3",
        ProtocolVersion::TLSv1_2 => "TLSv1.2",
        _ => "another version",
    }
}

/// AES-128-GCM-SHA256 first: in software, SHA-384 is 14 % of what a new connection costs.
fn provider() -> CryptoProvider {
    let mut provider = aws_lc_rs::default_provider();
    provider.cipher_suites.sort_by_key(|it| {
        !matches!(
            it.suite(),
            CipherSuite::TLS13_AES_128_GCM_SHA256
                | CipherSuite::TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256
                | CipherSuite::TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256
        )
    });
    provider
}

fn system_roots() -> RootCertStore {
    let mut roots = RootCertStore::empty();
    let found = rustls_native_certs::load_native_certs();
    for error in &found.errors {
        tracing::warn!(%error, "a root certificate of the system can't be read");
    }
    let (added, _) = roots.add_parsable_certificates(found.certs);
    if added == 0 {
        tracing::info!("the system has no root certificates: those of Mozilla are used");
        roots.extend(webpki_roots::TLS_SERVER_ROOTS.iter().cloned());
    }
    roots
}

fn add_file(roots: &mut RootCertStore, path: &Path) -> Result<(), BadCa> {
    let bad = |reason: String| BadCa {
        path: path.to_owned(),
        reason,
    };
    let certificates = CertificateDer::pem_file_iter(path)
        .and_then(Iterator::collect::<Result<Vec<_>, _>>)
        .map_err(|error| bad(format!("it can't be read as PEM: {error}")))?;
    if certificates.is_empty() {
        return Err(bad("it holds no certificate".to_owned()));
    }
    for certificate in certificates {
        roots
            .add(certificate)
            .map_err(|error| bad(format!("a certificate in it can't be a root: {error}")))?;
    }
    Ok(())
}

/// The three mistakes that operators meet, in their words; rustls's words for the rest.
fn explain(error: &rustls::Error) -> String {
    let rustls::Error::InvalidCertificate(wrong) = error else {
        return error.to_string();
    };
    match wrong {
        CertificateError::Expired | CertificateError::ExpiredContext { .. } => {
            "its certificate has expired".to_owned()
        }
        CertificateError::NotValidYet | CertificateError::NotValidYetContext { .. } => {
            "its certificate is not valid yet".to_owned()
        }
        CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. } => {
            "its certificate is for another name".to_owned()
        }
        CertificateError::UnknownIssuer => {
            "its certificate is from an unknown issuer; name the issuer's file under extra_ca if \
             it is to be trusted"
                .to_owned()
        }
        other => format!("its certificate is not good: {other}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_cheap_suite_is_offered_first() {
        let first = provider().cipher_suites[0].suite();
        assert_eq!(first, CipherSuite::TLS13_AES_128_GCM_SHA256);
    }

    #[test]
    fn early_data_is_never_sent() {
        let tls = Tls::trusting(RootCertStore::empty(), Offer::Both);
        assert!(!tls.config.enable_early_data);
    }

    #[test]
    fn a_file_without_a_certificate_is_refused_by_name() {
        for (path, reason) in [
            ("Cargo.toml", "it holds no certificate"),
            ("no/such/file.pem", "it can't be read as PEM"),
        ] {
            let bad = Tls::load(&[PathBuf::from(path)]).err().unwrap();
            assert_eq!(bad.path, Path::new(path));
            assert!(bad.reason.starts_with(reason), "{bad}");
        }
    }
}
