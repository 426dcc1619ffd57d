//! Every way in which a message from a client can be malformed: one list of name, status and words.
//!
//! Not here: the JSON that carries a refusal, and what policy refuses.

use std::fmt;

use http::StatusCode;

/// Defines the enum and everything that is told about a variant, so that no variant lacks its
/// status or its words.
macro_rules! malformed {
    ($($variant:ident, $status:ident, $reason:literal;)+) => {
        /// Why a message is refused before anybody asks what it wants. The connection closes after
        /// each of them, since nobody can tell where the next message would start.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        pub enum Malformed {
            $(#[doc = $reason] $variant,)+
        }

        impl Malformed {
            /// All of them, in the order of the list.
            pub const ALL: &'static [Self] = &[$(Self::$variant),+];

            /// The status of the reply.
            #[must_use]
            pub fn status(self) -> StatusCode {
                match self { $(Self::$variant => StatusCode::$status,)+ }
            }

            /// What is wrong and what to send instead. The text is stable, and quotes nothing of
            /// the message: its bytes are hostile, and may be secret.
            #[must_use]
            pub fn reason(self) -> &'static str {
                match self { $(Self::$variant => $reason,)+ }
            }
        }
    };
}

malformed! {
    NotHttp, BAD_REQUEST, "the first byte cannot start an HTTP/1 request; speak plain HTTP/1.1 on this connection";
    LeadingBlank, BAD_REQUEST, "blank bytes stand before the request line; send nothing between two requests";
    BareLineFeed, BAD_REQUEST, "a line ends without a carriage return; end every line with CR LF";
    RequestLine, BAD_REQUEST, "the request line is not METHOD, one space, target, one space, version";
    NoVersion, BAD_REQUEST, "the request line has no version; HTTP/0.9 is not served, send HTTP/1.1";
    Version, BAD_REQUEST, "the version is not spelled HTTP/1.1";
    VersionUnsupported, HTTP_VERSION_NOT_SUPPORTED, "this HTTP version is not served here; send HTTP/1.1";
    Method, BAD_REQUEST, "the method is not a token; send a method such as GET or POST";
    MethodTooLong, BAD_REQUEST, "the method is longer than any known method";
    TargetBytes, BAD_REQUEST, "the target holds a control character, `#` or a byte outside ASCII; percent-encode it";
    TargetForm, BAD_REQUEST, "the target has a form that this method cannot have; a proxy takes http://host/path, and CONNECT takes host:port";
    TargetTooLong, URI_TOO_LONG, "the target is too long; send long values in a body";
    HeadTooLarge, REQUEST_HEADER_FIELDS_TOO_LARGE, "the request line and headers are too large together; send less in headers";
    TooManyHeaders, REQUEST_HEADER_FIELDS_TOO_LARGE, "there are too many header lines; send fewer";
    Folded, BAD_REQUEST, "a header line starts with a blank; write each header on one line";
    NoColon, BAD_REQUEST, "a header line has no colon";
    EmptyName, BAD_REQUEST, "a header has an empty name";
    SpaceBeforeColon, BAD_REQUEST, "a blank stands between a header's name and its colon; remove it";
    Name, BAD_REQUEST, "a header name holds a character that no name may hold";
    UnderscoreInName, BAD_REQUEST, "a header name holds an underscore, which some servers read as a hyphen; use hyphens";
    ValueBytes, BAD_REQUEST, "a header value holds a control character, a tab or a byte outside ASCII; encode it";
    NoHost, BAD_REQUEST, "an HTTP/1.1 request has no Host header; send exactly one";
    RepeatedHost, BAD_REQUEST, "there are several Host headers; send exactly one";
    RepeatedContentLength, BAD_REQUEST, "there are several Content-Length headers; send one, even if they agree";
    RepeatedTransferEncoding, BAD_REQUEST, "there are several Transfer-Encoding headers; send one";
    RepeatedContentType, BAD_REQUEST, "there are several Content-Type headers; send one";
    RepeatedExpect, BAD_REQUEST, "there are several Expect headers; send one";
    RepeatedAuthorization, BAD_REQUEST, "there are several Authorization headers; send one";
    RepeatedProxyAuthorization, BAD_REQUEST, "there are several Proxy-Authorization headers; send one";
    ContentLength, BAD_REQUEST, "Content-Length is not a plain decimal number; write digits only, without leading zeros";
    LengthAndCoding, BAD_REQUEST, "Content-Length and Transfer-Encoding stand in one message; send only one of them";
    TransferEncoding, BAD_REQUEST, "Transfer-Encoding is not exactly `chunked`";
    TransferCoding, NOT_IMPLEMENTED, "only the transfer coding `chunked` is served; compress with Content-Encoding instead";
    TransferEncodingOnOld, BAD_REQUEST, "HTTP/1.0 has no Transfer-Encoding; send HTTP/1.1 or a Content-Length";
    ConnectBody, BAD_REQUEST, "a CONNECT has no body; send neither Content-Length nor Transfer-Encoding with it";
    Expectation, EXPECTATION_FAILED, "the only expectation that can be met is 100-continue";
    Connection, BAD_REQUEST, "Connection is not a list of names separated by commas";
    ChunkSize, BAD_REQUEST, "a chunk size is not a plain hexadecimal number followed by CR LF";
    ChunkTooLarge, BAD_REQUEST, "a chunk is too large, or its size has too many leading zeros; send smaller chunks";
    ChunkExtension, BAD_REQUEST, "a chunk has an extension; send the size alone";
    ChunkEnd, BAD_REQUEST, "a chunk's data is not followed by CR LF";
    TrailersTooLarge, REQUEST_HEADER_FIELDS_TOO_LARGE, "the trailers are too large; they are dropped anyway, send none";
}

impl fmt::Display for Malformed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.reason())
    }
}

impl std::error::Error for Malformed {}
