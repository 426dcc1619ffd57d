//! Chains that are made to cost: too large, too long, too many ways through them, names without number.

use std::io::{Read as _, Write as _};
use std::net::TcpListener;

use rcgen::{
    CertificateParams, CustomExtension, GeneralSubtree, Issuer, KeyPair, NameConstraints,
    PKCS_RSA_SHA256, PublicKeyData, SignatureAlgorithm, SigningKey,
};
use rustls_pki_types::CertificateDer;

use super::hello::vector;
use super::origins::{gets_no_request, intermediate, named, showing};
use super::{OPENED, stage};
use crate::attacks::stage::POLICY;
use crate::world::Plan;

/// An RSA key of so many bytes that nobody has the other half of.
struct Huge(Vec<u8>);

impl Huge {
    fn of(bytes: usize) -> Self {
        let number = |it: &[u8]| [vec![2, 0x82], vector(2, it)].concat();
        let mut modulus = vec![0xa5; bytes];
        modulus.insert(0, 0);
        let both = [number(&modulus), number(&[1, 0, 1])].concat();
        Self([vec![0x30, 0x82], vector(2, &both)].concat())
    }
}

impl PublicKeyData for Huge {
    fn der_bytes(&self) -> &[u8] {
        &self.0
    }

    fn algorithm(&self) -> &'static SignatureAlgorithm {
        &PKCS_RSA_SHA256
    }
}

impl SigningKey for Huge {
    fn sign(&self, _: &[u8]) -> Result<Vec<u8>, rcgen::Error> {
        Ok(vec![0x5a; self.0.len() - 20])
    }
}

#[test]
fn c12_a_chain_that_costs_too_much_is_given_up_before_its_deadline() {
    let stage = stage(Plan::of(POLICY));
    let ca = stage.world.origin_ca();
    let (key, leaf_key) = (KeyPair::generate().unwrap(), KeyPair::generate().unwrap());
    let below = |params: CertificateParams, key: &KeyPair| {
        let issuer = Issuer::new(params, key);
        CertificateDer::from(named(OPENED).signed_by(&leaf_key, &issuer).unwrap())
    };

    // Each is issued by one of the same name, so any of them might be the next on the way to a root.
    let looped = |count: usize| {
        let one = intermediate("loop");
        let issuer = Issuer::from_params(&one, &key);
        let links = (0..count).map(|_| one.signed_by(&key, &issuer).unwrap().into());
        let mut chain = vec![below(intermediate("loop"), &key)];
        chain.extend(links);
        chain
    };
    gets_no_request(&stage, "150 ways", showing(looped(150), &leaf_key));
    gets_no_request(&stage, "1,000 links", showing(looped(1_000), &leaf_key));

    // A row of authorities, each below the next, up to one that is trusted.
    let mut links: Vec<CertificateDer<'static>> = Vec::new();
    for depth in (0..30).rev() {
        let link = intermediate(&format!("{depth}"));
        let signed = match depth {
            29 => link.signed_by(&key, ca),
            _ => {
                let above = intermediate(&format!("{}", depth + 1));
                link.signed_by(&key, &Issuer::new(above, &key))
            }
        };
        links.push(signed.unwrap().into());
    }
    let mut deep = vec![below(intermediate("0"), &key)];
    deep.extend(links.into_iter().rev());
    gets_no_request(&stage, "30 deep", showing(deep, &leaf_key));

    // Every name is compared with every constraint.
    let mut constrained = intermediate("names");
    let subtree = |it: usize| GeneralSubtree::DnsName(format!("n{it}.test"));
    constrained.name_constraints = Some(NameConstraints {
        permitted_subtrees: vec![],
        excluded_subtrees: (0..1_200).map(subtree).collect(),
    });
    let signed = constrained.signed_by(&key, ca).unwrap();
    let names = (0..1_200).map(|it| format!("m{it}.test"));
    let names: Vec<String> = names.chain([OPENED.to_owned()]).collect();
    let leaf = CertificateParams::new(names).unwrap();
    let leaf = leaf
        .signed_by(&leaf_key, &Issuer::new(constrained, &key))
        .unwrap();
    let chain = vec![leaf.into(), signed.into()];
    gets_no_request(
        &stage,
        "1,200 names, 1,200 constraints",
        showing(chain, &leaf_key),
    );

    // Keys whose signatures would take seconds to look at, on a link and on the leaf.
    for bytes in [2_048, 4_096] {
        let link = intermediate("huge");
        let signed = link.signed_by(&Huge::of(bytes), ca).unwrap();
        let issuer = Issuer::new(link, Huge::of(bytes));
        let leaf = named(OPENED).signed_by(&leaf_key, &issuer).unwrap();
        let chain = vec![leaf.into(), signed.into()];
        gets_no_request(&stage, "a huge link", showing(chain, &leaf_key));
        let leaf = named(OPENED).signed_by(&Huge::of(bytes), ca).unwrap();
        gets_no_request(&stage, "a huge leaf", showing(vec![leaf.into()], &leaf_key));
    }
    // And one that is too weak.
    let leaf = named(OPENED).signed_by(&Huge::of(64), ca).unwrap();
    gets_no_request(&stage, "a weak leaf", showing(vec![leaf.into()], &leaf_key));

    // One certificate of a megabyte.
    let mut large = named(OPENED);
    let oid = &[1, 3, 9999, 1];
    large.custom_extensions = vec![CustomExtension::from_oid_content(oid, vec![0; 1 << 20])];
    let large = large.signed_by(&leaf_key, ca).unwrap();
    gets_no_request(&stage, "a megabyte", showing(vec![large.into()], &leaf_key));
}

#[test]
fn c12_a_handshake_without_an_end_is_given_up_before_its_deadline() {
    let record = |kind: u8, content: &[u8]| [vec![kind, 3, 3], vector(2, content)].concat();
    let hello = [&[3, 3][..], &[7; 32], &[0, 0xc0, 0x2b, 0]].concat();
    let hello = record(22, &[vec![2], vector(3, &hello)].concat());
    let claims = |it: [u8; 4]| record(22, &[&it[..], &[0; 1_000]].concat());
    let floods: [(&str, Vec<u8>, Vec<u8>); 6] = [
        (
            "a certificate of 16 MB",
            claims([11, 0xff, 0xff, 0xff]),
            record(22, &[0; 16_000]),
        ),
        (
            "a hello of 16 MB",
            claims([2, 0xff, 0xff, 0xff]),
            record(22, &[0; 16_000]),
        ),
        (
            "tickets",
            hello.clone(),
            record(22, &[4, 0, 0, 6, 0, 0, 0, 9, 0, 0]),
        ),
        ("empty records", hello.clone(), record(22, b"")),
        ("warnings", hello.clone(), record(21, &[1, 90])),
        ("hello requests", hello, record(22, &[0, 0, 0, 0])),
    ];
    for (what, first, again) in floods {
        let stage = stage(Plan::of(POLICY));
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        stage
            .world
            .lead(OPENED, 443, listener.local_addr().unwrap());
        let server = std::thread::spawn(move || {
            let (mut stream, _) = listener.accept().unwrap();
            let mut heard = [0; 4096];
            let _ = stream.read(&mut heard).unwrap();
            let _ = stream.write_all(&first);
            let flood = again.repeat(20_000 / again.len() + 1);
            while stream.write_all(&flood).is_ok() {}
        });
        let answer = stage.world.client().get("http://api.good.test/v1/items/1");
        let got = (answer.status, answer.refusal());
        assert_eq!(got, (502, "upstream_tls"), "{what}: {answer:?}");
        server.join().unwrap();
    }
}
