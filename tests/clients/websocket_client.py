"""A client of Python's websockets: websocket_client.py URL. Prints what it saw, as JSON."""

import json
import sys

from websockets.exceptions import ConnectionClosed
from websockets.sync.client import connect

seen = {}
with connect(sys.argv[1], subprotocols=["v1", "v2"]) as connection:
    seen["subprotocol"] = connection.subprotocol
    seen["extensions"] = [extension.name for extension in connection.protocol.extensions]
    for message in ["hello", "x" * 300_000]:
        connection.send(message)
        assert connection.recv() == message
    connection.send(iter(["in ", "three ", "frames"]))
    seen["frames"] = connection.recv()
    connection.send(b"\0\1")
    assert connection.recv() == b"\0\1"
    assert connection.ping().wait(10)
    connection.send("who")
    seen["who"] = connection.recv()
with connect(sys.argv[1], subprotocols=["v2"]) as connection:
    try:
        connection.send("the token is ws-real-token")
        connection.recv()
    except ConnectionClosed as closed:
        seen["closed"] = [closed.rcvd.code, closed.rcvd.reason]
print(json.dumps(seen))
