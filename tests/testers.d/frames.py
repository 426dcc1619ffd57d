"""HTTP/2 in exact frames, most of them wrong in one place each: the cases that h2spec tries, and floods.

Usage: frames.py PORT NAME. It prints `NAME: what came of it` for each, with ` (expected: …)` behind what should have
been something else. Where RFC 9113 wants an error of a stream, one of the connection will do, and so will its end.
"""

import socket
import ssl
import struct
import sys

PORT, NAME = int(sys.argv[1]), sys.argv[2]
PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
DATA, HEADERS, PRIORITY, RST_STREAM, SETTINGS, PUSH_PROMISE, PING, GOAWAY, WINDOW_UPDATE, CONTINUATION = range(10)
END_STREAM, ACK, END_HEADERS, PADDED, PRIORITIZED = 1, 1, 4, 8, 32
ERRORS = (
    "NO_ERROR PROTOCOL_ERROR INTERNAL_ERROR FLOW_CONTROL_ERROR SETTINGS_TIMEOUT STREAM_CLOSED FRAME_SIZE_ERROR "
    "REFUSED_STREAM CANCEL COMPRESSION_ERROR CONNECT_ERROR ENHANCE_YOUR_CALM"
).split()


def frame(kind, flags=0, stream=0, payload=b""):
    return struct.pack(">I", len(payload))[1:] + bytes([kind, flags]) + struct.pack(">I", stream) + payload


def field(name, value):
    """A literal without indexing, without Huffman's code."""
    return b"\0" + bytes([len(name)]) + name.encode() + bytes([len(value)]) + value.encode()


def block(*more, method="GET", leave_out=""):
    head = {":method": method, ":scheme": "https", ":path": "/", ":authority": NAME}
    fields = [field(name, value) for name, value in head.items() if name != leave_out]
    return b"".join(fields) + b"".join(field(*it) for it in more)


def headers(stream=1, payload=None, flags=END_STREAM | END_HEADERS):
    return frame(HEADERS, flags, stream, block() if payload is None else payload)


def post(stream=1, *more):
    return frame(HEADERS, END_HEADERS, stream, block(*more, method="POST"))


def setting(name, value):
    return frame(SETTINGS, 0, 0, struct.pack(">HI", name, value))


class Connection:
    def __init__(self, hello=PREFACE + frame(SETTINGS)):
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        context.set_alpn_protocols(["h2"])
        stream = socket.create_connection(("127.0.0.1", PORT), timeout=10)
        self.stream = context.wrap_socket(stream, server_hostname=NAME)
        self.heard = b""
        self.say(hello)

    def say(self, data):
        try:
            self.stream.sendall(data)
        except OSError:
            # What came of it is heard.
            pass

    def hear(self):
        """The next frame; none at the end."""
        while len(self.heard) < 9 or len(self.heard) < 9 + int.from_bytes(self.heard[:3], "big"):
            try:
                heard = self.stream.recv(65536)
            except TimeoutError:
                raise
            except OSError:
                heard = b""
            if not heard:
                return None
            self.heard += heard
        length, kind, flags = int.from_bytes(self.heard[:3], "big"), self.heard[3], self.heard[4]
        stream = int.from_bytes(self.heard[5:9], "big")
        payload, self.heard = self.heard[9 : 9 + length], self.heard[9 + length :]
        return kind, flags, stream, payload


def outcome(data, hello=PREFACE + frame(SETTINGS)):
    """What comes first: an error, the end of the connection, the end of a reply, or nothing but answers to PINGs."""
    connection = Connection(hello)
    connection.say(data + frame(PING, 0, 0, b"are you?"))
    pings = 0
    while True:
        try:
            heard = connection.hear()
        except TimeoutError:
            return "silence"
        if heard is None:
            return "closed"
        kind, flags, _, payload = heard
        if kind in (GOAWAY, RST_STREAM):
            return error(payload[-4:] if kind == RST_STREAM else payload[4:8])
        if kind in (DATA, HEADERS) and flags & END_STREAM:
            return "reply"
        if kind == PING and flags & ACK:
            pings += 1
            # What the first one overtook comes before the second.
            connection.say(frame(PING, 0, 0, b"are you?") if pings == 1 else b"")
        if pings == 2 and not wants_reply(data):
            return "ignored"


def error(code):
    code = int.from_bytes(code, "big")
    return ERRORS[code] if code < len(ERRORS) else str(code)


def wants_reply(data):
    """Whether there is an end of a stream in what is sent, so that a PING alone is not the end."""
    while len(data) >= 9:
        length = int.from_bytes(data[:3], "big")
        if data[3] in (DATA, HEADERS) and data[4] & END_STREAM:
            return True
        data = data[9 + length :]
    return False


ENDS = {"closed"}
PROTOCOL = ENDS | {"PROTOCOL_ERROR"}
# The h2 crate says PROTOCOL_ERROR where the RFC has a name that tells more; either ends it.
SIZE = PROTOCOL | {"FRAME_SIZE_ERROR"}
FLOW = PROTOCOL | {"FLOW_CONTROL_ERROR"}
CLOSED = PROTOCOL | {"STREAM_CLOSED"}
COMPRESSION = PROTOCOL | {"COMPRESSION_ERROR"}
CALM = PROTOCOL | {"REFUSED_STREAM", "ENHANCE_YOUR_CALM"}
GOOD, IGNORED = {"reply"}, {"ignored"}
# exeat answers some malformed requests with a 400 of its own, where the stream can still be answered.
REFUSED = PROTOCOL | {"reply"}
REST = frame(CONTINUATION, END_HEADERS, 1)
BEGUN = headers(1, b"", END_STREAM)
WHOLE = frame(CONTINUATION, END_HEADERS, 1, block())
MORE = frame(CONTINUATION, 0, 1, field("x", "y"))
WEIGHED = END_STREAM | END_HEADERS | PRIORITIZED


def reset(stream):
    return frame(RST_STREAM, 0, stream, struct.pack(">I", 8))



CASES = {
    "preface-wrong": ((b"", b"PRI * HTTP/2.0\r\n\r\nXX\r\n\r\n" + frame(SETTINGS)), PROTOCOL),
    "preface-without-settings": ((headers(), PREFACE), PROTOCOL),
    "request": (headers(), GOOD),
    "request-with-a-body": (post() + frame(DATA, END_STREAM, 1, b"body"), GOOD),
    "unknown-frame": (frame(22, 255, 0, b"x" * 8) + headers(), GOOD),
    "unknown-flags": (frame(PING, 0xFE, 0, b"8 bytes!") + headers(), GOOD),
    "reserved-bit": (frame(PING, 0, 1 << 31, b"8 bytes!") + headers(), GOOD),
    "unknown-setting": (setting(0xFF, 1) + headers(), GOOD),
    "priority-on-idle": (frame(PRIORITY, 0, 3, bytes(5)) + headers(), GOOD),
    "padding": (frame(HEADERS, END_STREAM | END_HEADERS | PADDED, 1, b"\x04" + block() + bytes(4)), GOOD),
    "continuation": (BEGUN + frame(CONTINUATION, 0, 1) + WHOLE, GOOD),
    "trailers": (post() + frame(DATA, 0, 1, b"x") + headers(1, field("x-end", "1")), GOOD | PROTOCOL),
    "ping-acknowledged": (frame(PING, ACK, 0, b"8 bytes!"), IGNORED),
    "data-too-large": (post() + frame(DATA, END_STREAM, 1, bytes(16385)), SIZE),
    "headers-too-large": (headers(1, bytes(16385)), SIZE | COMPRESSION),
    "block-that-is-none": (headers(1, b"\x40\xff\xff\xff\xff\xff\xff"), COMPRESSION),
    "index-zero": (headers(1, b"\x80"), COMPRESSION),
    "index-beyond-the-table": (headers(1, b"\xff\x80\x02"), COMPRESSION),
    "table-too-large": (headers(1, b"\x3f\xe1\xff\x03" + block()), COMPRESSION),
    "table-size-at-the-end": (headers(1, block() + b"\x20"), COMPRESSION),
    "huffman-end-of-string": (headers(1, block() + b"\x00\x01x\x84\xff\xff\xff\xff"), COMPRESSION | REFUSED),
    "huffman-padding-of-a-byte": (headers(1, block() + b"\x00\x01x\x82\x1f\xff"), COMPRESSION | REFUSED),
    "priority-inside-headers": (headers(1, None, END_STREAM) + frame(PRIORITY, 0, 1, bytes(5)) + REST, PROTOCOL),
    "headers-inside-headers": (headers(1, None, END_STREAM) + headers(3), PROTOCOL),
    "data-inside-headers": (headers(1, None, 0) + frame(DATA, END_STREAM, 1), PROTOCOL),
    "unknown-inside-headers": (headers(1, None, END_STREAM) + frame(22) + REST, PROTOCOL),
    "data-on-idle": (frame(DATA, END_STREAM, 1, b"x"), CLOSED),
    "reset-of-idle": (frame(RST_STREAM, 0, 1, bytes(4)), PROTOCOL),
    "window-of-idle": (frame(WINDOW_UPDATE, 0, 1, struct.pack(">I", 1)), PROTOCOL),
    "continuation-on-idle": (frame(CONTINUATION, END_HEADERS, 1, block()), PROTOCOL),
    "data-after-the-end": (headers() + frame(DATA, END_STREAM, 1, b"x"), CLOSED),
    "headers-after-the-end": (headers() + headers(), CLOSED),
    "continuation-after-the-end": (headers() + frame(CONTINUATION, END_HEADERS, 1, block()), PROTOCOL | CLOSED),
    "too-many-streams": (b"".join(post(at) for at in range(1, 1001, 2)), CALM),
    "too-many-resets": (b"".join(post(at) + reset(at) for at in range(1, 10001, 2)), CALM),
    "too-many-settings": (setting(4, 65535) * 20000, CALM | IGNORED),
    "too-many-pings": (frame(PING, 0, 0, b"8 bytes!") * 20000, CALM | IGNORED),
    "too-many-empty-frames": (post() + frame(DATA, 0, 1) * 20000, CALM | IGNORED),
    "too-many-continuations": (headers(1, None, END_STREAM) + MORE * 20000, CALM),
    "data-after-reset": (post() + reset(1) + frame(DATA, END_STREAM, 1, b"x"), CLOSED),
    "even-stream": (headers(2), PROTOCOL),
    "lower-stream": (headers(5) + headers(3), CLOSED | {"reply"}),
    "own-dependency": (frame(HEADERS, WEIGHED, 1, b"\0\0\0\x01\x10" + block()), PROTOCOL),
    "data-on-zero": (frame(DATA, 0, 0, b"x"), PROTOCOL),
    "headers-on-zero": (headers(0), PROTOCOL),
    "priority-on-zero": (frame(PRIORITY, 0, 0, bytes(5)), PROTOCOL),
    "priority-of-another-length": (headers() + frame(PRIORITY, 0, 1, bytes(4)), SIZE),
    "reset-on-zero": (frame(RST_STREAM, 0, 0, bytes(4)), PROTOCOL),
    "reset-of-another-length": (post() + frame(RST_STREAM, 0, 1, bytes(3)), SIZE),
    "data-with-too-much-padding": (post() + frame(DATA, END_STREAM | PADDED, 1, b"\x06hello"), PROTOCOL),
    "headers-with-too-much-padding": (headers(1, b"\xff" + block(), END_STREAM | END_HEADERS | PADDED), PROTOCOL),
    "settings-acknowledged-with-content": (frame(SETTINGS, ACK, 0, bytes(6)), SIZE),
    "settings-on-a-stream": (frame(SETTINGS, 0, 1, bytes(6)), PROTOCOL),
    "settings-of-another-length": (frame(SETTINGS, 0, 0, bytes(5)), SIZE),
    "push-of-two": (setting(2, 2), PROTOCOL),
    "window-beyond-31-bits": (setting(4, 1 << 31), FLOW),
    "frame-size-too-small": (setting(5, 16383), PROTOCOL),
    "frame-size-too-large": (setting(5, 1 << 24), PROTOCOL),
    "ping-on-a-stream": (frame(PING, 0, 1, bytes(8)), PROTOCOL),
    "ping-of-another-length": (frame(PING, 0, 0, bytes(6)), SIZE),
    "goaway-on-a-stream": (frame(GOAWAY, 0, 1, bytes(8)), PROTOCOL),
    "push-promise": (frame(PUSH_PROMISE, END_HEADERS, 1, struct.pack(">I", 2) + block()), PROTOCOL),
    "window-of-zero": (frame(WINDOW_UPDATE, 0, 0, bytes(4)), PROTOCOL),
    "window-of-zero-on-a-stream": (post() + frame(WINDOW_UPDATE, 0, 1, bytes(4)), PROTOCOL),
    "window-of-another-length": (frame(WINDOW_UPDATE, 0, 0, bytes(3)), SIZE),
    "window-too-wide": (frame(WINDOW_UPDATE, 0, 0, b"\x7f\xff\xff\xff") * 2, FLOW),
    "window-too-wide-on-a-stream": (post() + frame(WINDOW_UPDATE, 0, 1, b"\x7f\xff\xff\xff") * 2, FLOW),
    "continuation-on-zero": (headers(1, None, END_STREAM) + frame(CONTINUATION, END_HEADERS, 0), PROTOCOL),
    "continuation-after-continuation": (BEGUN + WHOLE * 2, PROTOCOL),
    "headers-twice-without-end": (post() + frame(HEADERS, END_HEADERS, 1, field("x", "1")), PROTOCOL),
    "upper-case": (headers(1, block(("X-Upper", "1"))), PROTOCOL),
    "unknown-pseudo-header": (headers(1, block((":unknown", "1"))), PROTOCOL),
    "pseudo-header-of-replies": (headers(1, block((":status", "200"))), PROTOCOL),
    "pseudo-header-after-others": (headers(1, field("x", "1") + block()), PROTOCOL),
    "pseudo-header-in-trailers": (post() + headers(1, field(":method", "GET")), REFUSED),
    "connection-header": (headers(1, block(("connection", "keep-alive"))), REFUSED),
    "te-of-something-else": (headers(1, block(("te", "gzip"))), REFUSED),
    "method-left-out": (headers(1, block(leave_out=":method")), PROTOCOL),
    "scheme-left-out": (headers(1, block(leave_out=":scheme")), REFUSED),
    "path-left-out": (headers(1, block(leave_out=":path")), REFUSED),
    "path-empty": (headers(1, field(":path", "") + block(leave_out=":path")), REFUSED),
    "method-twice": (headers(1, field(":method", "GET") + block()), PROTOCOL),
    "path-twice": (headers(1, field(":path", "/") + block()), PROTOCOL),
    "length-too-small": (post(1, ("content-length", "1")) + frame(DATA, END_STREAM, 1, b"body"), REFUSED),
    "length-too-large": (post(1, ("content-length", "9")) + frame(DATA, END_STREAM, 1, b"body"), REFUSED),
}


def main():
    for name, (said, expected) in CASES.items():
        came = outcome(*said) if isinstance(said, tuple) else outcome(said)
        good = outcome(headers())
        if came not in expected:
            came += f" (expected: {', '.join(sorted(expected))})"
        if good != "reply":
            came += f", and then {good} to a good client"
        print(f"{name}: {came}", flush=True)
    print("end")


main()
