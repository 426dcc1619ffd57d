//! The head of a frame (RFC 6455 §5.2), read and written.

use bytes::{Buf, BufMut, BytesMut};

/// Who sends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Side {
    /// Masks what it sends.
    Client,
    /// Sends in clear.
    Server,
}

/// Why a connection is closed, in a number (RFC 6455 §7.4.1, and IANA's registry for the last).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Close {
    /// It is over for a reason that is nobody's fault.
    GoingAway = 1001,
    /// What came is not WebSocket.
    Malformed = 1002,
    /// A rule was broken.
    Policy = 1008,
    /// More came than may.
    TooLarge = 1009,
    /// The server behind the gate is at fault.
    BadGateway = 1014,
}

/// The most bytes of what a control frame carries.
pub(super) const CONTROL: u64 = 125;

/// What goes before the content of a frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Head {
    pub(super) is_final: bool,
    pub(super) kind: Kind,
    pub(super) length: u64,
    pub(super) key: Option<Key>,
}

/// What a client's content is masked with.
pub(super) type Key = [u8; 4];

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Continuation,
    Text,
    Binary,
    Close,
    Ping,
    Pong,
}

impl Kind {
    fn read(nibble: u8) -> Option<Self> {
        Some(match nibble {
            0x0 => Self::Continuation,
            0x1 => Self::Text,
            0x2 => Self::Binary,
            0x8 => Self::Close,
            0x9 => Self::Ping,
            0xa => Self::Pong,
            _ => return None,
        })
    }

    fn nibble(self) -> u8 {
        match self {
            Self::Continuation => 0x0,
            Self::Text => 0x1,
            Self::Binary => 0x2,
            Self::Close => 0x8,
            Self::Ping => 0x9,
            Self::Pong => 0xa,
        }
    }

    pub(super) fn is_control(self) -> bool {
        matches!(self, Self::Close | Self::Ping | Self::Pong)
    }
}

impl Head {
    /// Takes a head of this side off the front, or `None` while its end has not come.
    pub(super) fn read(input: &mut BytesMut, side: Side) -> Result<Option<Self>, &'static str> {
        let [first, second, ..] = input[..] else {
            return Ok(None);
        };
        if first & 0x70 != 0 {
            return Err("a frame has a reserved bit, and no extension was agreed on");
        }
        let kind = Kind::read(first & 0xf).ok_or("a frame has a reserved opcode")?;
        let is_masked = second & 0x80 != 0;
        if is_masked != (side == Side::Client) {
            return Err(match side {
                Side::Client => "a frame of the client is not masked",
                Side::Server => "a frame of the server is masked",
            });
        }
        let (short, wide) = (u64::from(second & 0x7f), [0, 2, 8]);
        let width = wide[short.saturating_sub(CONTROL) as usize];
        let size = 2 + width + if is_masked { 4 } else { 0 };
        if input.len() < size {
            return Ok(None);
        }
        input.advance(2);
        let length = match width {
            2 => u64::from(input.get_u16()),
            8 => input.get_u64(),
            _ => short,
        };
        let least = [0, CONTROL + 1, 1 << 16][width.min(4) / 2];
        if length < least || length >> 63 != 0 {
            return Err("the length of a frame is not written in the shortest way");
        }
        let is_final = first & 0x80 != 0;
        if kind.is_control() && (length > CONTROL || !is_final) {
            return Err("a control frame is too long, or not whole");
        }
        let key = is_masked.then(|| input.get_u32().to_be_bytes());
        Ok(Some(Self {
            is_final,
            kind,
            length,
            key,
        }))
    }

    /// Appends it.
    pub(super) fn write(&self, out: &mut BytesMut) {
        out.put_u8(u8::from(self.is_final) << 7 | self.kind.nibble());
        let masked = u8::from(self.key.is_some()) << 7;
        match self.length {
            0..=CONTROL => out.put_u8(masked | self.length as u8),
            126..=0xffff => {
                out.put_u8(masked | 126);
                out.put_u16(self.length as u16);
            }
            _ => {
                out.put_u8(masked | 127);
                out.put_u64(self.length);
            }
        }
        if let Some(key) = self.key {
            out.put_slice(&key);
        }
    }
}

/// Masks a part of a frame's content, or takes its mask off; so many bytes of the content were before it.
pub(super) fn mask(content: &mut [u8], key: Option<Key>, before: u64) {
    let Some(mut key) = key else {
        return;
    };
    key.rotate_left((before % 4) as usize);
    for (byte, key) in content.iter_mut().zip(key.iter().cycle()) {
        *byte ^= key;
    }
}

/// A frame by which exeat closes a connection, as this side would. The reason is for whoever reads it.
pub fn close(side: Side, why: Close, reason: &str, key: [u8; 4]) -> BytesMut {
    let mut content = BytesMut::with_capacity(CONTROL as usize);
    content.put_u16(why as u16);
    content.put_slice(&reason.as_bytes()[..reason.len().min(CONTROL as usize - 2)]);
    let head = Head {
        is_final: true,
        kind: Kind::Close,
        length: content.len() as u64,
        key: (side == Side::Client).then_some(key),
    };
    mask(&mut content, head.key, 0);
    let mut frame = BytesMut::new();
    head.write(&mut frame);
    frame.unsplit(content);
    frame
}
