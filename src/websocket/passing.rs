//! One direction of a WebSocket: frames in, frames out, and what was found in them.

use std::sync::Arc;

use bytes::{Bytes, BytesMut};

use crate::scrub::{Forms, Scrubber};
use crate::websocket::frame::{Head, Key, Kind, Side, mask};

/// Frames of one side on their way to the other.
///
/// What a server sends is masked where a known secret stands in it; a client that sends one is stopped.
#[derive(Debug)]
pub struct Passing {
    side: Side,
    forms: Arc<Forms>,
    /// Bytes that may still come, heads of frames included.
    left: u64,
    frame: Option<Frame>,
    message: Option<Message>,
    masked: u64,
    is_closed: bool,
}

/// Why nothing more of a direction may pass.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Broken {
    /// It is not WebSocket, or an extension that nobody agreed on.
    Malformed(&'static str),
    /// More bytes than may be.
    TooLarge,
    /// A client sends a known secret.
    Secret,
}

/// The frame whose content is being read.
#[derive(Debug)]
struct Frame {
    head: Head,
    read: u64,
    /// How much of its content went out, where its own head did.
    written: Option<u64>,
}

/// The message that has begun.
#[derive(Debug)]
struct Message {
    /// The first frame out has its kind; those after it are continuations.
    kind: Kind,
    scrubber: Scrubber,
}

impl Passing {
    /// The beginning of what one side sends: at most so many bytes.
    pub fn of(side: Side, most: u64, forms: Arc<Forms>) -> Self {
        Self {
            side,
            forms,
            left: most,
            frame: None,
            message: None,
            masked: 0,
            is_closed: false,
        }
    }

    /// Looks for these from now on.
    pub fn look_for(&mut self, forms: Arc<Forms>) {
        if let Some(message) = &mut self.message {
            message.scrubber.look_for(forms.clone());
        }
        self.forms = forms;
    }

    /// Takes from the front of `input` what can be read, and appends to `out` what may go on.
    ///
    /// # Errors
    /// Why it ends here. What was appended before may go on.
    pub fn push(&mut self, input: &mut BytesMut, out: &mut BytesMut) -> Result<(), Broken> {
        loop {
            let Some(frame) = &mut self.frame else {
                if self.is_closed {
                    // RFC 6455 §1.4: nothing that follows has a meaning. It counts all the same.
                    self.count(input.len() as u64)?;
                    input.clear();
                }
                if !self.begin(input, out)? {
                    return Ok(());
                }
                continue;
            };
            let left = frame.head.length - frame.read;
            let length = usize::try_from(left).unwrap_or(usize::MAX).min(input.len());
            let is_last = length as u64 == left;
            if !is_last && (length == 0 || frame.head.kind.is_control()) {
                return Ok(());
            }
            let mut content = input.split_to(length);
            mask(&mut content, frame.head.key, frame.read);
            frame.read += length as u64;
            if frame.head.kind.is_control() {
                self.control(content.freeze(), out)?;
            } else {
                self.piece(content.freeze(), is_last, out)?;
            }
        }
    }

    /// How many places were masked so far.
    pub fn masked(&self) -> u64 {
        let message = self.message.as_ref();
        self.masked + message.map_or(0, |it| it.scrubber.masked())
    }

    /// Whether what went out ends with a whole frame, so that another one may follow.
    pub fn is_between_frames(&self) -> bool {
        self.frame.as_ref().is_none_or(|it| it.written.is_none())
    }

    /// Whether no message is half through.
    pub fn is_between_messages(&self) -> bool {
        self.frame.is_none() && self.message.is_none()
    }

    /// Whether this side has said that it closes.
    pub fn is_closed(&self) -> bool {
        self.is_closed
    }

    /// Reads the head of the next frame, if all of it is there.
    fn begin(&mut self, input: &mut BytesMut, out: &mut BytesMut) -> Result<bool, Broken> {
        let before = input.len();
        let read = Head::read(input, self.side).map_err(Broken::Malformed)?;
        let Some(head) = read else {
            return Ok(false);
        };
        let size = head.length.saturating_add((before - input.len()) as u64);
        self.count(size)?;
        let mut written = None;
        if !head.kind.is_control() {
            let message = self.message(head.kind)?;
            if head.is_final {
                let out_head = Head {
                    kind: message.next_kind(),
                    length: head.length + message.scrubber.held() as u64,
                    ..head
                };
                out_head.write(out);
                written = Some(0);
            }
        }
        self.frame = Some(Frame {
            head,
            read: 0,
            written,
        });
        Ok(true)
    }

    fn count(&mut self, bytes: u64) -> Result<(), Broken> {
        self.left = self.left.checked_sub(bytes).ok_or(Broken::TooLarge)?;
        Ok(())
    }

    /// The message to which a frame of this kind belongs.
    fn message(&mut self, kind: Kind) -> Result<&mut Message, Broken> {
        match (&self.message, kind) {
            (None, Kind::Continuation) => Err(Broken::Malformed("a frame continues no message")),
            (Some(_), Kind::Text | Kind::Binary) => {
                Err(Broken::Malformed("a message begins inside another"))
            }
            _ => {
                let scrubber = || Scrubber::new(self.forms.clone());
                Ok(self.message.get_or_insert_with(|| Message {
                    kind,
                    scrubber: scrubber(),
                }))
            }
        }
    }

    fn piece(&mut self, content: Bytes, is_last: bool, out: &mut BytesMut) -> Result<(), Broken> {
        let (Some(message), Some(frame)) = (&mut self.message, &mut self.frame) else {
            return Ok(());
        };
        let ends = is_last && frame.head.is_final;
        let content = match ends {
            true => message.scrubber.last(content),
            false => message.scrubber.push(content),
        };
        if self.side == Side::Client && message.scrubber.masked() > 0 {
            return Err(Broken::Secret);
        }
        let key = frame.head.key;
        match &mut frame.written {
            Some(written) => {
                append(&content, (key, *written), out);
                *written += content.len() as u64;
            }
            None if content.is_empty() => {}
            None => {
                let head = Head {
                    is_final: false,
                    kind: message.next_kind(),
                    length: content.len() as u64,
                    key,
                };
                head.write(out);
                append(&content, (key, 0), out);
            }
        }
        if ends {
            self.masked += message.scrubber.masked();
            self.message = None;
        }
        if is_last {
            self.frame = None;
        }
        Ok(())
    }

    /// A control frame may come in the midst of a message, and is passed on at once.
    fn control(&mut self, mut content: Bytes, out: &mut BytesMut) -> Result<(), Broken> {
        let Some(frame) = self.frame.take() else {
            return Ok(());
        };
        let masked = self.forms.mask(&mut content);
        if self.side == Side::Client && masked > 0 {
            return Err(Broken::Secret);
        }
        self.masked += masked;
        self.is_closed |= frame.head.kind == Kind::Close;
        frame.head.write(out);
        append(&content, (frame.head.key, 0), out);
        Ok(())
    }
}

impl Message {
    /// Of the frame that goes out next.
    fn next_kind(&mut self) -> Kind {
        std::mem::replace(&mut self.kind, Kind::Continuation)
    }
}

/// Appends content, masked again as its side does it.
fn append(content: &[u8], (key, before): (Option<Key>, u64), out: &mut BytesMut) {
    let start = out.len();
    out.extend_from_slice(content);
    mask(&mut out[start..], key, before);
}
