//! A reply that comes encoded though nobody asked for it, decoded: what can't be read can't be searched.
//!
//! It goes on as identity. What the server said of the encoded bytes is taken off, and a strong ETag, which names those
//! bytes, becomes a weak one (RFC 9110 §8.8.1). Decoding gives a buffer at a time, so that a small reply that decodes
//! to a large one is broken off at the action's cap.

use std::io;
use std::pin::Pin;
use std::sync::{Arc, OnceLock};
use std::task::{Context, Poll, ready};

use async_compression::tokio::bufread::{
    BrotliDecoder, DeflateDecoder, GzipDecoder, ZlibDecoder, ZstdDecoder,
};
use async_compression::zstd::DParameter;
use bytes::{Buf, Bytes};
use http::header::{ACCEPT_RANGES, CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_RANGE, ETAG};
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use http_body::{Body as HttpBody, Frame};
use tokio::io::{AsyncBufRead, AsyncRead, ReadBuf};

use crate::body::Body;
use crate::dial::Reply;
use crate::exchange::body::Hold;
use crate::fault::{Fault, FaultKind};

/// What is read of the decoded text at a time: a record of TLS.
const BUFFER: usize = 16 * 1024;

/// RFC 9659 §3: what every recipient of zstd has to take, and none more.
const ZSTD_WINDOW_LOG: u32 = 23;

/// Headers that say something of the encoded bytes (RFC 9110 §8, RFC 9530, and the older ones that they replaced).
pub(super) const OF_THE_BYTES: [HeaderName; 3] = [CONTENT_LENGTH, CONTENT_ENCODING, ACCEPT_RANGES];

/// Sums of the bytes, which are wrong as soon as one of them is masked.
const DIGESTS: [HeaderName; 4] = [
    HeaderName::from_static("content-digest"),
    HeaderName::from_static("repr-digest"),
    HeaderName::from_static("digest"),
    HeaderName::from_static("content-md5"),
];

/// The codings that servers use (RFC 9110 §8.4.1, RFC 7932, RFC 8878).
#[derive(Clone, Copy)]
enum Coding {
    Gzip,
    Deflate,
    Brotli,
    Zstd,
}

/// Puts the decoded text in the place of an encoded one.
///
/// # Errors
/// [`FaultKind::Malformed`] for another coding, for more than one, and for a part of an encoded text;
/// [`FaultKind::ReplyTooLarge`] where there is no room for what a decoder remembers.
pub(super) fn decode(reply: &mut Reply, mut hold: Hold) -> Result<(), Fault> {
    let address = reply.upstream.address;
    let malformed = |detail| Fault::new(FaultKind::Malformed, detail).at(address);
    let Some(coding) = coding(&reply.headers).map_err(malformed)? else {
        return Ok(());
    };
    let is_part = reply.status == StatusCode::PARTIAL_CONTENT;
    if is_part || reply.headers.contains_key(CONTENT_RANGE) {
        return Err(malformed("it is a part of an encoded content"));
    }
    relabel(&mut reply.headers);
    if !reply.body.is_empty() {
        if !hold.take(coding.window()) {
            // The request has been carried out: not a refusal that invites to send it again.
            let detail = "there is no room to decode the reply among all bodies in hand";
            return Err(Fault::new(FaultKind::ReplyTooLarge, detail).at(address));
        }
        let body = std::mem::take(&mut reply.body);
        reply.body = Body::stream(Decoded::new(coding, body, hold));
    }
    Ok(())
}

fn coding(headers: &HeaderMap) -> Result<Option<Coding>, &'static str> {
    let values = headers.get_all(CONTENT_ENCODING).iter();
    let names = values.flat_map(|it| it.as_bytes().split(|byte| *byte == b','));
    let names = names.map(<[u8]>::trim_ascii);
    let mut names = names.filter(|it| !it.is_empty() && !it.eq_ignore_ascii_case(b"identity"));
    let Some(name) = names.next() else {
        return Ok(None);
    };
    if names.next().is_some() {
        return Err("it is encoded more than once");
    }
    match name.to_ascii_lowercase().as_slice() {
        b"gzip" | b"x-gzip" => Ok(Some(Coding::Gzip)),
        b"deflate" => Ok(Some(Coding::Deflate)),
        b"br" => Ok(Some(Coding::Brotli)),
        b"zstd" => Ok(Some(Coding::Zstd)),
        _ => Err("its content coding is not one that exeat knows, and was not asked for"),
    }
}

/// Takes off sums of bytes that may not be those which go on.
pub(super) fn drop_digests(headers: &mut HeaderMap) {
    // Most have none, and to look at the few names there are costs less than to look four of them up.
    if !headers.keys().any(|name| DIGESTS.contains(name)) {
        return;
    }
    for name in &DIGESTS {
        headers.remove(name);
    }
}

fn relabel(headers: &mut HeaderMap) {
    for name in &OF_THE_BYTES {
        headers.remove(name);
    }
    drop_digests(headers);
    weaken(headers);
}

/// The content is another text than the server's, and means the same.
pub(super) fn weaken(headers: &mut HeaderMap) {
    let strong = headers.get(ETAG).map(HeaderValue::as_bytes);
    if let Some(strong) = strong.filter(|it| !it.starts_with(b"W/"))
        && let Ok(weak) = HeaderValue::from_bytes(&[b"W/", strong].concat())
    {
        headers.insert(ETAG, weak);
    }
}

impl Coding {
    /// What a decoder may remember of the text, with its tables: the largest window of the coding.
    fn window(self) -> usize {
        match self {
            // RFC 1951 §2: 32 KiB.
            Self::Gzip | Self::Deflate => 64 * 1024,
            Self::Zstd => 1 << ZSTD_WINDOW_LOG,
            Self::Brotli => 1 << 24,
        }
    }

    /// As much as the first byte of the text says that it needs.
    fn window_of(self, first: u8) -> usize {
        match self {
            Self::Brotli => brotli_window(first),
            Self::Gzip | Self::Deflate | Self::Zstd => self.window(),
        }
    }
}

/// RFC 7932 §9.1: `WBITS`. Most servers use 22, which is a quarter of the largest.
fn brotli_window(first: u8) -> usize {
    let bits = match (first & 1, first >> 1 & 7, first >> 4 & 7) {
        (0, ..) => 16,
        (_, 0, 0) => 17,
        (_, 0, more) => 8 + more,
        (_, more, _) => 17 + more,
    };
    1 << bits
}

/// The decoded text.
struct Decoded {
    coding: Coding,
    /// The room that the decoder takes.
    hold: Hold,
    text: Text,
    broken: Broken,
    buffer: Box<[u8]>,
}

/// Nothing is decoded before its first byte is there: a content without any is empty in every coding.
enum Text {
    Encoded(Encoded),
    Decoding(Pin<Box<dyn AsyncRead + Send>>),
    Over,
}

/// Why the encoded text broke off, if it did; decoders know only that it did.
type Broken = Arc<OnceLock<Fault>>;

impl Decoded {
    fn new(coding: Coding, body: Body, hold: Hold) -> Self {
        let broken = Broken::default();
        let encoded = Encoded {
            body,
            chunk: Bytes::new(),
            broken: broken.clone(),
        };
        Self {
            coding,
            hold,
            text: Text::Encoded(encoded),
            broken,
            buffer: vec![0; BUFFER].into(),
        }
    }

    fn fault(&mut self) -> Fault {
        self.text = Text::Over;
        let broken = self.broken.get().cloned();
        broken.unwrap_or_else(|| {
            let detail = "the content is not in the coding that it says it is";
            Fault::new(FaultKind::Malformed, detail)
        })
    }

    fn poll_text(&mut self, context: &mut Context<'_>) -> Poll<io::Result<usize>> {
        loop {
            match &mut self.text {
                Text::Over => return Poll::Ready(Ok(0)),
                Text::Encoded(encoded) => {
                    let begin = ready!(Pin::new(encoded).poll_fill_buf(context))?;
                    let first = begin.first().copied();
                    self.text = match (std::mem::replace(&mut self.text, Text::Over), first) {
                        (Text::Encoded(encoded), Some(first)) => {
                            self.hold.keep(self.coding.window_of(first));
                            Text::Decoding(decoder(self.coding, first, encoded))
                        }
                        _ => Text::Over,
                    };
                }
                Text::Decoding(decoder) => {
                    let mut buffer = ReadBuf::new(&mut self.buffer);
                    ready!(decoder.as_mut().poll_read(context, &mut buffer))?;
                    return Poll::Ready(Ok(buffer.filled().len()));
                }
            }
        }
    }
}

impl HttpBody for Decoded {
    type Data = Bytes;
    type Error = Fault;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Fault>>> {
        Poll::Ready(match ready!(self.poll_text(context)) {
            Ok(0) => {
                self.text = Text::Over;
                None
            }
            Ok(length) => {
                let data = Bytes::copy_from_slice(&self.buffer[..length]);
                Some(Ok(Frame::data(data)))
            }
            Err(_) => Some(Err(self.fault())),
        })
    }
}

fn decoder(coding: Coding, first: u8, encoded: Encoded) -> Pin<Box<dyn AsyncRead + Send>> {
    match coding {
        Coding::Gzip => {
            let mut decoder = GzipDecoder::new(encoded);
            decoder.multiple_members(true);
            Box::pin(decoder)
        }
        // RFC 9110 §8.4.1.2: zlib's format, for which some servers take deflate without its wrapping. Method 8, in the
        // low half of zlib's first byte, is none that a block of deflate begins with.
        Coding::Deflate if first & 0xf == 8 => Box::pin(ZlibDecoder::new(encoded)),
        Coding::Deflate => Box::pin(DeflateDecoder::new(encoded)),
        Coding::Brotli => Box::pin(BrotliDecoder::new(encoded)),
        Coding::Zstd => {
            let window = DParameter::window_log_max(ZSTD_WINDOW_LOG);
            Box::pin(ZstdDecoder::with_params(encoded, &[window]))
        }
    }
}

/// The encoded text, as decoders read it.
struct Encoded {
    body: Body,
    chunk: Bytes,
    broken: Broken,
}

impl AsyncBufRead for Encoded {
    fn poll_fill_buf(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<&[u8]>> {
        let this = self.get_mut();
        while this.chunk.is_empty() {
            match ready!(Pin::new(&mut this.body).poll_frame(context)) {
                Some(Ok(frame)) => match frame.into_data() {
                    Ok(data) => this.chunk = data,
                    // Trailers come last.
                    Err(_) => break,
                },
                Some(Err(fault)) => {
                    this.body = Body::Empty;
                    this.broken.get_or_init(|| fault);
                    return Poll::Ready(Err(io::ErrorKind::BrokenPipe.into()));
                }
                None => {
                    this.body = Body::Empty;
                    break;
                }
            }
        }
        Poll::Ready(Ok(&this.chunk))
    }

    fn consume(self: Pin<&mut Self>, amount: usize) {
        self.get_mut().chunk.advance(amount);
    }
}

impl AsyncRead for Encoded {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let chunk = ready!(self.as_mut().poll_fill_buf(context))?;
        let length = chunk.len().min(buffer.remaining());
        buffer.put_slice(&chunk[..length]);
        self.consume(length);
        Poll::Ready(Ok(()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_window_of_brotli_stands_in_its_first_byte() {
        for (first, bits) in [
            (0x00, 16),
            (0x01, 17),
            (0x03, 18),
            (0x0b, 22),
            (0x0f, 24),
            (0x21, 10),
            (0x71, 15),
        ] {
            assert_eq!(brotli_window(first), 1 << bits, "{first:#x}");
        }
        assert!((0..=u8::MAX).all(|it| brotli_window(it) <= Coding::Brotli.window()));
    }
}
