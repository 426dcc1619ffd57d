"""TLS conversations that go wrong in one place each, with tlslite-ng as the client that goes wrong.

Usage: conversations.py PORT NAME. It prints `NAME: what came of it` for each, with ` (expected: …)` behind what
should have been something else. After every conversation a good one has to succeed.
"""

import socket
import sys

from tlslite.api import HandshakeSettings, TLSConnection
from tlslite.constants import AlertDescription, CipherSuite, ContentType, ExtensionType
from tlslite.constants import KeyUpdateMessageType
from tlslite.errors import TLSAbruptCloseError, TLSClosedConnectionError, TLSRemoteAlert
from tlslite.messages import ClientHello, Finished, Message

PORT, NAME = int(sys.argv[1]), sys.argv[2]
TLS12, TLS13 = (3, 3), (3, 4)
REQUEST = f"GET / HTTP/1.1\r\nHost: {NAME}\r\nConnection: close\r\n\r\n".encode()


class Crooked(TLSConnection):
    """A client whose messages are bent on their way out."""

    def __init__(self, bend):
        stream = socket.create_connection(("127.0.0.1", PORT), timeout=20)
        super().__init__(stream)
        self.bend = bend

    def _sendMsg(self, msg, *args, **kwargs):
        bent = self.bend(self, msg) or msg
        yield from super()._sendMsg(bent, *args, **kwargs)

    def say(self, content_type, data):
        """Sends a record or more, if anybody takes them; what came of it is heard later."""
        data = bytearray(data)
        try:
            for at in range(0, max(len(data), 1), 2**14):
                for _ in self._recordLayer.sendRecord(Message(content_type, data[at : at + 2**14])):
                    pass
        except OSError:
            pass


def straight(connection, msg):
    return None


def handshake(bend, version):
    settings = HandshakeSettings()
    settings.minVersion = min(version, TLS12)
    settings.maxVersion = version
    settings.keyShares = ["secp256r1"]
    settings.eccCurves = ["secp256r1"]
    connection = Crooked(bend)
    connection.handshakeClientCert(serverName=NAME, settings=settings, alpn=[bytearray(b"http/1.1")])
    return connection


def ask(connection):
    connection.say(ContentType.application_data, REQUEST)
    said = b""
    while block := connection.recv(4096):
        said += bytes(block)
    return said.split(b" ")[1].decode() if said else "closed"


def outcome(act):
    """A status, the name of an alert, or that the connection was closed."""
    try:
        return act()
    except TLSRemoteAlert as alert:
        return AlertDescription.toRepr(alert.description)
    except (TLSAbruptCloseError, TLSClosedConnectionError, ConnectionError):
        return "closed"
    except TimeoutError:
        return "silence"


def bent(bend, version=TLS13):
    return lambda: ask(handshake(bend, version))


def after(act, version=TLS13):
    """Does something between a good handshake and a request."""

    def conversation():
        connection = handshake(straight, version)
        act(connection)
        return ask(connection)

    return conversation


def raw(*blocks):
    def conversation():
        with socket.create_connection(("127.0.0.1", PORT), timeout=20) as stream:
            for block in blocks:
                stream.sendall(block)
            said = stream.recv(7)
        return AlertDescription.toRepr(said[6]) if said[:1] == b"\x15" else "closed" if not said else "answer"

    return conversation


def hello(change):
    """Bends the ClientHello."""

    def bend(connection, msg):
        return change(msg) if isinstance(msg, ClientHello) else None

    return bend


def without(extension):
    def change(msg):
        msg.extensions = [it for it in msg.extensions if it.extType != extension]

    return hello(change)


def twice(extension):
    return hello(lambda msg: msg.extensions.append(msg.getExtension(extension)))


def share(key):
    def change(msg):
        msg.getExtension(ExtensionType.key_share).client_shares[0].key_exchange = bytearray(key)

    return hello(change)


def setting(**fields):
    return hello(lambda msg: [setattr(msg, name, value) for name, value in fields.items()] and None)


def in_records_of(size):
    def bend(connection, msg):
        connection.recordSize = size if isinstance(msg, ClientHello) else 2**14

    return bend


def finished(connection, msg):
    if isinstance(msg, Finished):
        msg.verify_data[0] ^= 1


def repeated(content_type, data, times=1):
    return lambda connection: [connection.say(content_type, data) for _ in range(times)]


def key_updates(times):
    def act(connection):
        for _ in range(times):
            for _ in connection.send_keyupdate_request(KeyUpdateMessageType.update_not_requested):
                pass

    return act


def tampered(connection):
    """A record whose last byte is another one."""
    stream = connection.sock

    class Tampering:
        def __getattr__(self, name):
            return getattr(stream, name)

        def send(self, data):
            return stream.send(data[:-1] + bytes([data[-1] ^ 1]))

    connection._recordLayer._recordSocket.sock = Tampering()


def renegotiating(connection):
    """A ClientHello in the place of a request."""
    for _ in connection._clientSendClientHello(
        HandshakeSettings(), None, None, None, (None, None), None, NAME, None, False, [bytearray(b"http/1.1")]
    ):
        pass


NOBODY = {"closed", "unexpected_message", "decode_error"}
ILLEGAL = {"illegal_parameter", "decode_error"}
LONG = NOBODY | ILLEGAL | {"record_overflow"}
CONVERSATIONS = {
    "tls13": (bent(straight), {"200"}),
    "tls12": (bent(straight, TLS12), {"200"}),
    "tls11": (bent(straight, (3, 2)), {"protocol_version"}),
    "hello-in-records-of-one-byte": (bent(in_records_of(1)), {"200"}),
    "hello-in-records-of-64-bytes": (bent(in_records_of(64), TLS12), {"200"}),
    "finished-wrong-in-13": (bent(finished), {"decrypt_error"}),
    "finished-wrong-in-12": (bent(finished, TLS12), {"decrypt_error"}),
    "share-not-on-the-curve": (bent(share(b"\x04" + b"\x01" * 64)), {"illegal_parameter"}),
    "share-of-zeros": (bent(share(bytes(65))), {"illegal_parameter"}),
    "share-cut-off": (bent(share(b"\x04" + b"\x01" * 20)), ILLEGAL),
    "share-empty": (bent(share(b"")), ILLEGAL),
    "no-share": (bent(without(ExtensionType.key_share)), {"missing_extension"}),
    "no-groups": (bent(without(ExtensionType.supported_groups)), {"missing_extension"}),
    "no-signature-algorithms": (bent(without(ExtensionType.signature_algorithms)), {"missing_extension"}),
    "no-server-name": (bent(without(ExtensionType.server_name)), {"missing_extension"}),
    "server-name-twice": (bent(twice(ExtensionType.server_name)), ILLEGAL),
    "alpn-twice": (bent(twice(ExtensionType.alpn), TLS12), ILLEGAL),
    "session-id-too-long": (bent(setting(session_id=bytearray(33))), ILLEGAL),
    "no-null-compression": (bent(setting(compression_methods=[1])), ILLEGAL),
    "deflate-in-13": (bent(setting(compression_methods=[1, 0])), {"illegal_parameter"}),
    "no-cipher-in-common": (
        bent(setting(cipher_suites=[CipherSuite.TLS_RSA_WITH_AES_128_CBC_SHA]), TLS12),
        {"handshake_failure"},
    ),
    "no-ciphers": (bent(setting(cipher_suites=[])), {"handshake_failure", "decode_error", "illegal_parameter"}),
    "finished-twice": (after(repeated(ContentType.handshake, b"\x14\0\0\x20" + bytes(32))), {"unexpected_message"}),
    "unknown-handshake-message": (after(repeated(ContentType.handshake, [99, 0, 0, 0])), NOBODY),
    "handshake-without-end": (after(repeated(ContentType.handshake, b"\x04\xff\xff\xff" + bytes(16000), 8)), LONG),
    "change-cipher-spec-late": (after(repeated(ContentType.change_cipher_spec, [1])), {"unexpected_message"}),
    "heartbeat": (after(repeated(ContentType.heartbeat, [1, 64, 0, 1])), NOBODY),
    "empty-records": (after(repeated(ContentType.application_data, [], 1000)), {"200", "unexpected_message", "closed"}),
    "warning-alerts": (after(repeated(ContentType.alert, [1, 90], 1000)), NOBODY),
    "key-updates": (after(key_updates(20)), {"200"}),
    "key-updates-without-end": (after(key_updates(2000)), {"200", "unexpected_message", "closed"}),
    "key-update-of-no-kind": (after(repeated(ContentType.handshake, [24, 0, 0, 1, 7])), ILLEGAL),
    "tampered-record-in-13": (after(tampered), {"bad_record_mac"}),
    "tampered-record-in-12": (after(tampered, TLS12), {"bad_record_mac"}),
    "renegotiation-in-12": (after(renegotiating, TLS12), {"no_renegotiation", "unexpected_message", "closed"}),
    "renegotiation-in-13": (after(renegotiating), {"unexpected_message"}),
    "data-before-hello": (raw(b"\x17\x03\x03\x00\x05hello"), NOBODY),
    "alert-before-hello": (raw(b"\x15\x03\x03\x00\x02\x02\x28"), NOBODY),
    "record-too-long": (raw(b"\x16\x03\x01\xff\xff" + bytes(65535)), LONG),
    "record-of-nothing": (raw(b"\x16\x03\x01\x00\x00" * 100), NOBODY),
    "hello-of-16-megabytes": (raw(b"\x16\x03\x01\x40\x00\x01\xff\xff\xff" + bytes(2**14 - 4)), LONG),
    "sslv2-hello": (raw(b"\x80\x2e\x01\x00\x02\x00\x15\x00\x00\x00\x10" + bytes(37)), NOBODY | {"protocol_version"}),
    "cleartext": (raw(b"GET / HTTP/1.1\r\n\r\n"), NOBODY | {"answer"}),
}


def main():
    for name, (conversation, expected) in CONVERSATIONS.items():
        came = outcome(conversation)
        good = outcome(bent(straight))
        if came not in expected:
            came += f" (expected: {', '.join(sorted(expected))})"
        if good != "200":
            came += f", and then {good} to a good client"
        print(f"{name}: {came}", flush=True)
    print("end")


main()
