"""A server of Python's websockets over TLS: websocket_server.py CERTIFICATE KEY. Prints its port, then serves.

It sends every message back; "who" is answered with the credential that came with the handshake, in three frames."""

import ssl
import sys

from websockets.sync.server import serve


def answer(connection):
    credential = connection.request.headers["Authorization"]
    for message in connection:
        if message == "who":
            connection.send(iter(["you are ", credential[:10], credential[10:]]))
        else:
            connection.send(message)


context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
context.load_cert_chain(*sys.argv[1:])
with serve(answer, "127.0.0.1", 0, ssl=context, subprotocols=["v2"]) as server:
    print(server.socket.getsockname()[1], flush=True)
    server.serve_forever()
