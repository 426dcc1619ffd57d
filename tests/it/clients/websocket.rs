//! Python's websockets on both sides of exeat, with its compression offered and its frames as it cuts them.

use std::fs;
use std::io::{BufRead as _, BufReader};
use std::net::SocketAddr;
use std::process::{Child, Command, Stdio};

use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair};
use serde_json::{Value, json};

use super::installed;
use super::stage::Stage;

const POLICY: &str = r#"
version: 1
secrets: {token: {env: WS_TOKEN}}
auth: {chat: {type: bearer, token: {secret: token}}}
actions:
  join_room:
    description: Opens the conversation of one room.
    method: GET
    url: https://chat.example.com/rooms/{{room}}
    auth: chat
    upgrade: websocket
    max_request_bytes: 10MiB
    parameters: {properties: {room: {type: string}}, required: [room]}
"#;

const HOST: &str = "chat.example.com";

#[test]
fn a_client_and_a_server_of_pythons_websockets_understand_each_other() {
    let folder = tempfile::tempdir().unwrap();
    let (ca, certificate, key) = certified();
    let files = [("certificate.pem", certificate), ("key.pem", key)].map(|(name, text)| {
        let file = folder.path().join(name);
        fs::write(&file, text).unwrap();
        file
    });
    let mut server = Command::new(installed::python());
    server
        .arg(installed::script("websocket_server.py"))
        .args(files);
    let mut server = Running(server.stdout(Stdio::piped()).spawn().unwrap());
    let address = server.address();

    let stage = Stage::with_policy(POLICY)
        .reaching_at(HOST, address, &ca)
        .secret("WS_TOKEN", "ws-real-token");
    let client = installed::script("websocket_client.py");
    let url = format!("wss://{HOST}/rooms/a");
    let ran = stage.exec(&installed::python(), &[client.as_os_str(), url.as_ref()]);
    let seen: Value = serde_json::from_str(ran.output()).unwrap();
    let expected = json!({
        "subprotocol": "v2",
        "extensions": [],
        "frames": "in three frames",
        "who": "you are Bearer *************",
        "closed": [1008, "secret_outgoing"],
    });
    assert_eq!(seen, expected);
    let records = ran.records();
    assert_eq!(records.len(), 4, "{records:#?}");
    assert_eq!(records[1]["end"], "complete");
    assert_eq!(records[1]["redactions"], 1);
    assert_eq!(records[3]["code"], "secret_outgoing");
}

/// A server, until the test is over.
struct Running(Child);

impl Running {
    /// Where it listens: its first line.
    fn address(&mut self) -> SocketAddr {
        let mut line = String::new();
        let told = self.0.stdout.take().unwrap();
        BufReader::new(told).read_line(&mut line).unwrap();
        SocketAddr::from(([127, 0, 0, 1], line.trim().parse().unwrap()))
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// A CA, and a certificate for the host with its key.
fn certified() -> (String, String, String) {
    let (ca_key, key) = (KeyPair::generate().unwrap(), KeyPair::generate().unwrap());
    let mut ca = CertificateParams::default();
    ca.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    ca.distinguished_name
        .push(DnType::CommonName, "CA of a server");
    let ca_pem = ca.self_signed(&ca_key).unwrap().pem();
    let issuer = Issuer::new(ca, ca_key);
    let leaf = CertificateParams::new([HOST.to_owned()]).unwrap();
    let leaf = leaf.signed_by(&key, &issuer).unwrap();
    (ca_pem, leaf.pem(), key.serialize_pem())
}
