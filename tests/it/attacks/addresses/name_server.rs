//! A name server on UDP and TCP that answers what a test says, and writes down what it was asked.

use std::io::{Read as _, Write as _};
use std::net::{IpAddr, SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::sync::{Arc, Mutex};

use hickory_resolver::proto::op::{Message, ResponseCode};
use hickory_resolver::proto::rr::rdata::{A, AAAA, CNAME};
use hickory_resolver::proto::rr::{Name, RData, Record, RecordType};

/// A question: the name without its root, the type, and whether it came over TCP.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Asked {
    pub name: String,
    pub kind: RecordType,
    pub tcp: bool,
}

/// What is answered.
pub enum Says {
    /// These records.
    Records(Vec<Record>),
    /// Nothing but that there is more over TCP.
    Truncated,
    /// This code.
    Code(ResponseCode),
    /// A message that a test has made of the question.
    Message(Box<dyn Fn(Message) -> Message>),
    /// These addresses, without looking at what they are.
    Addresses(Vec<[u8; 4]>),
    /// Bytes that may be none.
    Bytes(Vec<u8>),
    /// Nothing at all.
    Nothing,
}

type Script = Box<dyn Fn(&Asked) -> Says + Send + Sync>;

/// The server. Its threads end with the process.
pub struct NameServer {
    pub address: SocketAddr,
    desk: Arc<Desk>,
}

struct Desk {
    script: Script,
    asked: Mutex<Vec<Asked>>,
}

impl NameServer {
    pub fn new(script: impl Fn(&Asked) -> Says + Send + Sync + 'static) -> Self {
        let (udp, tcp) = both();
        let desk = Arc::new(Desk {
            script: Box::new(script),
            asked: Mutex::default(),
        });
        let address = udp.local_addr().unwrap();
        let (one, two) = (desk.clone(), desk.clone());
        std::thread::spawn(move || one.datagrams(&udp));
        std::thread::spawn(move || {
            for stream in tcp.incoming().flatten() {
                let desk = two.clone();
                std::thread::spawn(move || desk.stream(stream));
            }
        });
        Self { address, desk }
    }

    /// All questions so far.
    pub fn asked(&self) -> Vec<Asked> {
        self.desk.asked.lock().unwrap().clone()
    }
}

impl Desk {
    fn datagrams(&self, socket: &UdpSocket) {
        let mut bytes = [0; 4096];
        while let Ok((length, from)) = socket.recv_from(&mut bytes) {
            if let Some(answer) = self.answer(&bytes[..length], false) {
                let _ = socket.send_to(&answer, from);
            }
        }
    }

    fn stream(&self, mut stream: TcpStream) {
        let mut length = [0; 2];
        while stream.read_exact(&mut length).is_ok() {
            let mut bytes = vec![0; usize::from(u16::from_be_bytes(length))];
            if stream.read_exact(&mut bytes).is_err() {
                return;
            }
            let Some(answer) = self.answer(&bytes, true) else {
                continue;
            };
            let length = u16::try_from(answer.len()).unwrap().to_be_bytes();
            let _ = stream.write_all(&[&length[..], &answer].concat());
        }
    }

    fn answer(&self, bytes: &[u8], tcp: bool) -> Option<Vec<u8>> {
        let mut message = Message::from_vec(bytes).unwrap();
        let question = message.queries[0].clone();
        let name = question.name().to_string();
        let asked = Asked {
            name: name.trim_end_matches('.').to_owned(),
            kind: question.query_type(),
            tcp,
        };
        self.asked.lock().unwrap().push(asked.clone());
        message = message.into_response();
        match (self.script)(&asked) {
            Says::Records(records) => {
                message.add_answers(records);
            }
            Says::Truncated => message.metadata.truncation = true,
            Says::Code(code) => message.metadata.response_code = code,
            Says::Message(made) => message = made(message),
            Says::Addresses(all) => return Some(flood(bytes, &all)),
            Says::Bytes(bytes) => return Some(bytes),
            Says::Nothing => return None,
        }
        Some(message.to_vec().unwrap())
    }
}

/// An answer to a question with these addresses.
fn flood(asked: &[u8], addresses: &[[u8; 4]]) -> Vec<u8> {
    let end = 12 + asked[12..].iter().position(|it| *it == 0).unwrap() + 5;
    let count = u16::try_from(addresses.len()).unwrap();
    let mut answer = [&asked[..2], &[0x81, 0x80, 0, 1], &count.to_be_bytes()].concat();
    answer.extend([0; 4]);
    answer.extend(&asked[12..end]);
    for address in addresses {
        answer.extend([0xc0, 12, 0, 1, 0, 1, 0, 0, 0, 60, 0, 4]);
        answer.extend(address);
    }
    answer
}

/// One port for both.
fn both() -> (UdpSocket, TcpListener) {
    for _ in 0..100 {
        let tcp = TcpListener::bind("127.0.0.1:0").unwrap();
        if let Ok(udp) = UdpSocket::bind(tcp.local_addr().unwrap()) {
            return (udp, tcp);
        }
    }
    panic!("no port is free for both");
}

/// An address of a name, for so many seconds.
pub fn address(name: &str, address: &str, seconds: u32) -> Record {
    let data = match address.parse().unwrap() {
        IpAddr::V4(it) => RData::A(A(it)),
        IpAddr::V6(it) => RData::AAAA(AAAA(it)),
    };
    Record::from_rdata(named(name), seconds, data)
}

/// Another name of a name.
pub fn alias(name: &str, other: &str) -> Record {
    Record::from_rdata(named(name), 0, RData::CNAME(CNAME(named(other))))
}

pub fn named(name: &str) -> Name {
    let mut name = Name::from_ascii(name).unwrap();
    name.set_fqdn(true);
    name
}
