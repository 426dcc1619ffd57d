"""Leads connections to a port of this machine through CONNECT tunnels of a proxy, for testers that know no proxy.

Usage: bridge.py PROXY TARGET, each HOST:PORT. It prints its own port, and runs until it is ended.
"""

import socket
import sys
import threading


def main():
    host, port = sys.argv[1].rsplit(":", 1)
    with socket.create_server(("127.0.0.1", 0), backlog=1024) as listener:
        print(listener.getsockname()[1], flush=True)
        while True:
            client, _ = listener.accept()
            threading.Thread(target=serve, args=(client, (host, port), sys.argv[2]), daemon=True).start()


def serve(client, proxy, target):
    with client, socket.create_connection(proxy) as tunnel:
        tunnel.sendall(f"CONNECT {target} HTTP/1.1\r\nHost: {target}\r\n\r\n".encode())
        head = b""
        while not head.endswith(b"\r\n\r\n"):
            byte = tunnel.recv(1)
            if not byte:
                return
            head += byte
        if head.startswith(b"HTTP/1.1 200 "):
            back = threading.Thread(target=pump, args=(tunnel, client), daemon=True)
            back.start()
            pump(client, tunnel)
            back.join()


def pump(source, sink):
    try:
        while block := source.recv(65536):
            sink.sendall(block)
        sink.shutdown(socket.SHUT_WR)
    except OSError:
        # A tester that has seen enough resets its connection.
        sink.close()


main()
