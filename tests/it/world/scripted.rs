//! An origin that does what a test says with the bytes of each connection, and WebSocket's frames by hand.

use std::io::Write as _;
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::time::Duration;

use rustls::{ServerConfig, ServerConnection, StreamOwned};

use super::client::{Stream, read_until};

/// What such an origin does with a connection.
pub(super) type Script = Box<dyn Fn(&mut dyn Stream) + Send + Sync>;

/// Listens, over TLS where there is a certificate, and runs the script on every connection. Its threads end with the
/// process.
pub(super) fn listen(config: Option<Arc<ServerConfig>>, script: Script) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let script = Arc::new(script);
    std::thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            let (script, config) = (script.clone(), config.clone());
            std::thread::spawn(move || serve(stream, config, &script));
        }
    });
    address
}

fn serve(mut stream: TcpStream, config: Option<Arc<ServerConfig>>, script: &Script) {
    let patience = Some(Duration::from_secs(20));
    stream.set_read_timeout(patience).unwrap();
    stream.set_nodelay(true).unwrap();
    let Some(config) = config else {
        return script(&mut stream);
    };
    let session = ServerConnection::new(config).unwrap();
    let mut stream = StreamOwned::new(session, stream);
    script(&mut stream);
    stream.conn.send_close_notify();
    let _ = stream.flush();
}

/// A request's head, as it came.
pub fn read_request(stream: &mut dyn Stream) -> Option<String> {
    read_until(stream, b"\r\n\r\n")
}

/// The head that grants a handshake, with these lines beside it.
pub fn grant(request: &str, lines: &str) -> String {
    let key = request.lines().find_map(|line| {
        let (name, value) = line.split_once(": ")?;
        name.eq_ignore_ascii_case("sec-websocket-key")
            .then_some(value)
    });
    let accept = exeat::wire::accept(key.unwrap().as_bytes());
    format!(
        "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
         Sec-WebSocket-Accept: {accept}\r\n{lines}\r\n"
    )
}

/// A frame: its first byte and its content, masked as a client does it or in clear.
pub fn frame(first: u8, content: &[u8], is_masked: bool) -> Vec<u8> {
    let bit = u8::from(is_masked) << 7;
    let mut bytes = vec![first];
    match u16::try_from(content.len()) {
        Ok(short @ 0..=125) => bytes.push(bit | short as u8),
        Ok(medium) => {
            bytes.push(bit | 126);
            bytes.extend(medium.to_be_bytes());
        }
        Err(_) => {
            bytes.push(bit | 127);
            bytes.extend((content.len() as u64).to_be_bytes());
        }
    }
    let key = if is_masked { [1, 2, 3, 4] } else { [0; 4] };
    if is_masked {
        bytes.extend(key);
    }
    let masked = content.iter().zip(key.iter().cycle());
    bytes.extend(masked.map(|(byte, key)| byte ^ key));
    bytes
}

/// The next frame of either side: its first byte and its content. `None` at the end.
pub fn read_frame(stream: &mut dyn Stream) -> Option<(u8, Vec<u8>)> {
    let mut start = [0; 2];
    stream.read_exact(&mut start).ok()?;
    let length = match start[1] & 0x7f {
        126 => {
            let mut length = [0; 2];
            stream.read_exact(&mut length).ok()?;
            usize::from(u16::from_be_bytes(length))
        }
        127 => {
            let mut length = [0; 8];
            stream.read_exact(&mut length).ok()?;
            usize::try_from(u64::from_be_bytes(length)).unwrap()
        }
        short => usize::from(short),
    };
    let mut key = [0; 4];
    if start[1] & 0x80 != 0 {
        stream.read_exact(&mut key).ok()?;
    }
    let mut content = vec![0; length];
    stream.read_exact(&mut content).ok()?;
    for (byte, key) in content.iter_mut().zip(key.iter().cycle()) {
        *byte ^= key;
    }
    Some((start[0], content))
}

/// Sends every frame back until the other side closes, and then closes too.
pub fn echo(stream: &mut dyn Stream) {
    while let Some((first, content)) = read_frame(stream) {
        let sent = stream.write_all(&frame(first, &content, false));
        if sent.and_then(|()| stream.flush()).is_err() || first == 0x88 {
            return;
        }
    }
}
