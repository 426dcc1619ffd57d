//! The throwaway CA: the origin's certificate, the bare stack's leaves, and whom the clients believe.
//!
//! Not how exeat keeps a CA: this one lives in a temporary folder for the length of a run.

use std::collections::HashMap;
use std::fs;
use std::path::Path;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::PoisonError;

use anyhow::Context;
use rcgen::BasicConstraints;
use rcgen::CertificateParams;
use rcgen::DistinguishedName;
use rcgen::DnType;
use rcgen::IsCa;
use rcgen::Issuer;
use rcgen::KeyPair;
use rcgen::KeyUsagePurpose;
use rustls::CipherSuite;
use rustls::ClientConfig;
use rustls::RootCertStore;
use rustls::ServerConfig;
use rustls::crypto::CryptoProvider;
use rustls::crypto::aws_lc_rs;
use rustls::server::ClientHello;
use rustls::server::ResolvesServerCert;
use rustls::sign::CertifiedKey;
use rustls_pki_types::CertificateDer;
use rustls_pki_types::PrivateKeyDer;
use rustls_pki_types::PrivatePkcs8KeyDer;
use rustls_pki_types::pem::PemObject;

/// The certificate of the CA inside `folder`, as PEM.
pub(crate) fn ca_file(folder: &Path) -> PathBuf {
    folder.join("ca.pem")
}

/// Makes a new CA and writes it to `folder`.
pub(crate) fn create_ca(folder: &Path) -> anyhow::Result<()> {
    let key = KeyPair::generate()?;
    let mut params = CertificateParams::default();
    params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign];
    params.distinguished_name = DistinguishedName::new();
    params
        .distinguished_name
        .push(DnType::CommonName, "throwaway CA of a bench");
    fs::write(ca_file(folder), params.self_signed(&key)?.pem())?;
    fs::write(key_file(folder), key.serialize_pem())?;
    Ok(())
}

/// A client that believes the CA in `file`, and nobody else.
pub(crate) fn client(file: &Path) -> anyhow::Result<ClientConfig> {
    let mut roots = RootCertStore::empty();
    for certificate in CertificateDer::pem_file_iter(file)
        .with_context(|| format!("cannot read {}", file.display()))?
    {
        roots.add(certificate?)?;
    }
    Ok(ClientConfig::builder_with_provider(Arc::new(provider()))
        .with_safe_default_protocol_versions()?
        .with_root_certificates(roots)
        .with_no_client_auth())
}

/// A server that shows a leaf for each of `names`, signed by the CA in `folder` when it is first asked for.
pub(crate) fn server(
    folder: &Path,
    names: impl IntoIterator<Item = String>,
) -> anyhow::Result<ServerConfig> {
    let mut config = ServerConfig::builder_with_provider(Arc::new(provider()))
        .with_safe_default_protocol_versions()?
        .with_no_client_auth()
        .with_cert_resolver(Arc::new(Leaves::open(folder, names)?));
    config.ignore_client_order = true;
    // Who comes back brings its own session: nothing is kept here, and no number of sessions is too many.
    config.ticketer = aws_lc_rs::Ticketer::new()?;
    Ok(config)
}

/// AES-128 first, as exeat has it: a ratio must not measure the difference between two ciphers.
fn provider() -> CryptoProvider {
    let mut provider = aws_lc_rs::default_provider();
    provider.cipher_suites.sort_by_key(|it| {
        !matches!(
            it.suite(),
            CipherSuite::TLS13_AES_128_GCM_SHA256
                | CipherSuite::TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256
        )
    });
    provider
}

fn key_file(folder: &Path) -> PathBuf {
    folder.join("ca.key")
}

/// Leaf certificates by name, all with one key: a key for each would only cost time.
struct Leaves {
    issuer: Issuer<'static, KeyPair>,
    key: KeyPair,
    /// One place per known name, so the cache cannot grow.
    by_name: HashMap<String, Mutex<Option<Arc<CertifiedKey>>>>,
}

impl Leaves {
    fn open(folder: &Path, names: impl IntoIterator<Item = String>) -> anyhow::Result<Self> {
        let ca_key = KeyPair::from_pem(&fs::read_to_string(key_file(folder))?)?;
        Ok(Self {
            issuer: Issuer::from_ca_cert_pem(&fs::read_to_string(ca_file(folder))?, ca_key)?,
            key: KeyPair::generate()?,
            by_name: names
                .into_iter()
                .map(|name| (name, Mutex::default()))
                .collect(),
        })
    }

    fn sign(&self, name: &str) -> anyhow::Result<CertifiedKey> {
        let mut params = CertificateParams::new([name.to_owned()])?;
        params.distinguished_name = DistinguishedName::new();
        let leaf = params.signed_by(&self.key, &self.issuer)?;
        let key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(self.key.serialize_der()));
        Ok(CertifiedKey::from_der(
            vec![leaf.der().clone()],
            key,
            &aws_lc_rs::default_provider(),
        )?)
    }
}

impl ResolvesServerCert for Leaves {
    fn resolve(&self, hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        let name = hello.server_name()?;
        let mut place = self
            .by_name
            .get(name)?
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        if place.is_none() {
            *place = Some(Arc::new(self.sign(name).ok()?));
        }
        place.clone()
    }
}

/// By hand, as rustls asks for one and the fields hold keys.
impl std::fmt::Debug for Leaves {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        out.debug_struct("Leaves")
            .field("names", &self.by_name.len())
            .finish_non_exhaustive()
    }
}
