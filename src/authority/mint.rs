//! Making certificates: the CA's own, and one leaf for one host.
//!
//! Keeping them and counting them is not done here.

use std::net::{Ipv4Addr, Ipv6Addr};
use std::path::Path;
use std::sync::Arc;

use aws_lc_rs::rand;
use rcgen::string::Ia5String;
use rcgen::{
    BasicConstraints, CertificateParams, CidrSubnet, DistinguishedName, DnType,
    ExtendedKeyUsagePurpose, GeneralSubtree, IsCa, Issuer, KeyPair, KeyUsagePurpose,
    NameConstraints, PKCS_ECDSA_P256_SHA256, SanType, SerialNumber,
};
use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::ServerCertVerifier;
use rustls::crypto::CryptoProvider;
use rustls::crypto::aws_lc_rs as provider;
use rustls::server::ResolvesServerCertUsingSni;
use rustls::sign::{CertifiedKey, SigningKey};
use rustls::{CertificateError, Error, RootCertStore, ServerConfig, version};
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};
use time::{Duration, OffsetDateTime};
use zeroize::Zeroizing;

use crate::authority::error::AuthorityError;
use crate::authority::folder::{CERTIFICATE, Files, KEY};
use crate::request::Host;

/// Each new CA has to be brought into the trust store of every agent by hand, and one that ends unnoticed stops them
/// all at once. Its key never leaves this machine, so a shorter life would protect little: whoever fears that it was
/// read removes the CA today. Ten years is what mkcert and mitmproxy chose.
const CA_VALIDITY: Duration = Duration::days(3652);

/// Far under the 398 days that some clients allow, and short enough that a leaf and its key, which never touch a disk,
/// are worth little to a thief. More than the day after which a kept leaf is signed anew.
const LEAF_VALIDITY: Duration = Duration::days(7);

/// For clients whose clock is behind ours.
const BACK_DATED: Duration = Duration::hours(1);

/// What a CA may sign, for good. The names it permits are public: whoever sees `ca.pem` reads them.
#[derive(Clone, Debug, Default)]
pub struct Constraints {
    /// Only these hosts and those below them (RFC 5280 §4.2.1.10), and no address; all where the list is empty. A
    /// host that joins the policy later may need a new CA.
    pub permitted: Vec<Host>,
}

/// A CA in memory, and the one key of all its leaves.
///
/// One key for all: making one costs half as much as signing a leaf, and who can read one out of this process can
/// read them all, and the CA's.
pub(super) struct Mint {
    issuer: Issuer<'static, KeyPair>,
    ca_pem: String,
    ca_end: Option<OffsetDateTime>,
    leaf_key: KeyPair,
    leaf_signer: Arc<dyn SigningKey>,
}

impl Mint {
    /// Takes up a CA that was made before.
    pub(super) fn load(folder: &Path, files: &Files) -> Result<Self, AuthorityError> {
        let unusable = |name: &str, wanted| AuthorityError::Unusable {
            path: folder.join(name),
            wanted,
        };
        let key = KeyPair::from_pem(&files.key)
            .map_err(|_| unusable(KEY, "private key of a CA in PEM"))?;
        let certificate = CertificateDer::from_pem_slice(files.certificate.as_bytes())
            .map_err(|_| unusable(CERTIFICATE, "certificate in PEM"))?;
        let pair = CertifiedKey::new(vec![certificate.clone()], signer(&key)?);
        pair.keys_match()
            .map_err(|_| AuthorityError::Mismatch(folder.to_owned()))?;
        match standing(&certificate)? {
            Standing::Ca => {}
            Standing::Outdated => return Err(AuthorityError::Outdated(folder.join(CERTIFICATE))),
            Standing::NoCa => return Err(unusable(CERTIFICATE, "certificate of a CA")),
        }
        let issuer = Issuer::from_ca_cert_der(&certificate, key).map_err(crypto)?;
        let leaf_key = new_key()?;
        Ok(Self {
            issuer,
            ca_pem: files.certificate.clone(),
            ca_end: end(&certificate),
            leaf_signer: signer(&leaf_key)?,
            leaf_key,
        })
    }

    /// The certificate of the CA.
    pub(super) fn ca_pem(&self) -> &str {
        &self.ca_pem
    }

    /// When the certificate of the CA ends.
    pub(super) fn end(&self) -> Option<OffsetDateTime> {
        self.ca_end
    }

    /// Signs a leaf: one name and no other, for servers only.
    ///
    /// The subject stays empty, as CAs do nowadays: a client that looked there and not at the name would be wrong.
    pub(super) fn leaf(&self, host: &Host) -> Result<CertifiedKey, AuthorityError> {
        let name = Ia5String::try_from(host.as_str()).map_err(crypto)?;
        let mut leaf = dated(LEAF_VALIDITY)?;
        leaf.subject_alt_names = vec![SanType::DnsName(name)];
        leaf.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        leaf.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        leaf.use_authority_key_identifier_extension = true;
        let leaf = leaf
            .signed_by(&self.leaf_key, &self.issuer)
            .map_err(crypto)?;
        let signer = Arc::clone(&self.leaf_signer);
        Ok(CertifiedKey::new(vec![leaf.into()], signer))
    }
}

/// Makes a CA: P-256, since every client knows it and it signs ten times as fast as RSA.
///
/// The name has a random end, because clients find an issuer by its name, and two that differ in nothing but the key
/// get in each other's way.
pub(super) fn new_ca(constraints: &Constraints) -> Result<Files, AuthorityError> {
    let key = new_key()?;
    let mut ca = dated(CA_VALIDITY)?;
    let suffix = u32::from_be_bytes(random()?);
    ca.distinguished_name
        .push(DnType::CommonName, format!("exeat CA {suffix:08x}"));
    // No CA below this one.
    ca.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    ca.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    ca.name_constraints = constraints.to_extension();
    let certificate = ca.self_signed(&key).map_err(crypto)?;
    Ok(Files {
        certificate: certificate.pem(),
        key: Zeroizing::new(key.serialize_pem()),
    })
}

impl Constraints {
    /// Names constrain names only (RFC 5280 §4.2.1.10), so addresses are excluded beside them.
    fn to_extension(&self) -> Option<NameConstraints> {
        if self.permitted.is_empty() {
            return None;
        }
        let names = self.permitted.iter().map(Host::to_string);
        let all_v4 = CidrSubnet::V4(Ipv4Addr::UNSPECIFIED.octets(), [0; 4]);
        let all_v6 = CidrSubnet::V6(Ipv6Addr::UNSPECIFIED.octets(), [0; 16]);
        Some(NameConstraints {
            permitted_subtrees: names.map(GeneralSubtree::DnsName).collect(),
            excluded_subtrees: [all_v4, all_v6].map(GeneralSubtree::IpAddress).into(),
        })
    }
}

fn end(certificate: &CertificateDer<'_>) -> Option<OffsetDateTime> {
    let (_, read) = x509_parser::parse_x509_certificate(certificate).ok()?;
    Some(read.validity().not_after.to_datetime())
}

/// What clients will think of the certificate of a CA.
enum Standing {
    Ca,
    Outdated,
    NoCa,
}

/// Asks the verifier that we have: shown a CA's certificate as if it were a server's, it looks at the dates first,
/// then refuses because the holder is a CA (RFC 5280 §4.2.1.9). That very refusal, the only one without a name of its
/// own in rustls, is what a good CA gets. Clients look at neither in what they trust, so nobody else would tell.
fn standing(certificate: &CertificateDer<'_>) -> Result<Standing, AuthorityError> {
    let mut roots = RootCertStore::empty();
    if roots.add(certificate.clone().into_owned()).is_err() {
        return Ok(Standing::NoCa);
    }
    let provider = Arc::new(provider::default_provider());
    let verifier = WebPkiServerVerifier::builder_with_provider(Arc::new(roots), provider);
    let verifier = verifier.build().map_err(crypto)?;
    let name = ServerName::try_from("exeat.invalid").map_err(crypto)?;
    let verified = verifier.verify_server_cert(certificate, &[], &name, &[], UnixTime::now());
    Ok(match verified {
        Err(Error::InvalidCertificate(CertificateError::Other(_))) => Standing::Ca,
        Err(Error::InvalidCertificate(
            CertificateError::Expired
            | CertificateError::ExpiredContext { .. }
            | CertificateError::NotValidYet
            | CertificateError::NotValidYetContext { .. },
        )) => Standing::Outdated,
        _ => Standing::NoCa,
    })
}

/// The configuration that all connections share. It has no certificate; each connection brings its own.
pub(super) fn server_config() -> Result<ServerConfig, AuthorityError> {
    let mut config = ServerConfig::builder_with_provider(Arc::new(algorithms()))
        .with_protocol_versions(&[&version::TLS13, &version::TLS12])
        .map_err(crypto)?
        .with_no_client_auth()
        .with_cert_resolver(Arc::new(ResolvesServerCertUsingSni::new()));
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    config.ticketer = provider::Ticketer::new().map_err(crypto)?;
    // Ours is the order that counts: clients tend to put AES-256 first, whose SHA-384 runs in software and takes a
    // seventh of a handshake's time.
    config.ignore_client_order = true;
    Ok(config)
}

fn algorithms() -> CryptoProvider {
    use provider::cipher_suite::{
        TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256, TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384,
        TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256, TLS13_AES_128_GCM_SHA256,
        TLS13_AES_256_GCM_SHA384, TLS13_CHACHA20_POLY1305_SHA256,
    };
    CryptoProvider {
        // RSA has no place here: our leaves have a P-256 key.
        cipher_suites: vec![
            TLS13_AES_128_GCM_SHA256,
            TLS13_AES_256_GCM_SHA384,
            TLS13_CHACHA20_POLY1305_SHA256,
            TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256,
            TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384,
            TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256,
        ],
        ..provider::default_provider()
    }
}

/// A certificate with its dates and a random number (16 bytes: CA/Browser Forum BR §7.1 asks for 8), and no name.
fn dated(validity: Duration) -> Result<CertificateParams, AuthorityError> {
    let now = OffsetDateTime::now_utc();
    let mut certificate = CertificateParams::default();
    certificate.distinguished_name = DistinguishedName::new();
    certificate.not_before = now - BACK_DATED;
    certificate.not_after = now + validity;
    let number: [u8; 16] = random()?;
    certificate.serial_number = Some(SerialNumber::from_slice(&number));
    Ok(certificate)
}

fn new_key() -> Result<KeyPair, AuthorityError> {
    KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256).map_err(crypto)
}

fn signer(key: &KeyPair) -> Result<Arc<dyn SigningKey>, AuthorityError> {
    let der = Zeroizing::new(key.serialize_der());
    let der = PrivateKeyDer::try_from(der.as_slice()).map_err(crypto)?;
    provider::sign::any_supported_type(&der).map_err(crypto)
}

fn random<const N: usize>() -> Result<[u8; N], AuthorityError> {
    let mut bytes = [0; N];
    rand::fill(&mut bytes).map_err(crypto)?;
    Ok(bytes)
}

fn crypto(error: impl ToString) -> AuthorityError {
    AuthorityError::Crypto(error.to_string())
}
