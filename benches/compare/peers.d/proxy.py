#!/usr/bin/env bash
# proxy.py: absolute-form requests, tunnels, interception. It carries no http to TLS without being told how in Python.
set -euo pipefail
. "$(dirname "$0")/../peers.sh"

readonly PROGRAM=$PEER_TARGET/python/bin/proxy

describe() {
  [[ -x $PROGRAM ]] || missing "proxy.py (PyPI)"
  description "proxy.py $("$PROGRAM" --version)" forward tunnel intercepted
}

run() {
  cat >"$PEER_FOLDER/bench_plugin.py" <<END
from proxy.http.proxy import HttpProxyBasePlugin


class LeaveSomeAlone(HttpProxyBasePlugin):
    def do_intercept(self, request):
        return request.host != b"$PEER_TUNNEL_HOST"
END
  # It takes the leaf that it finds; its own way to make one fails on a server's certificate without a subject.
  mkdir "$PEER_FOLDER/leaves"
  leaf
  cp "$PEER_FOLDER/leaf.pem" "$PEER_FOLDER/leaves/$PEER_TLS_HOST.pem"
  local options=(
    --hostname 127.0.0.1 --port "$PEER_PORT" --log-level CRITICAL --open-file-limit 16384 --backlog 1024
    # One process accepts and serves.
    --num-acceptors 1 --num-workers 1
    --timeout 60 --inactive-conn-cleanup-timeout 60
    --ca-cert-file "$PEER_CA" --ca-key-file "$PEER_CA_KEY" --ca-signing-key-file "$PEER_FOLDER/leaf.key"
    --ca-cert-dir "$PEER_FOLDER/leaves" --ca-file "$PEER_CA" --data-dir "$PEER_FOLDER"
    --plugins bench_plugin.LeaveSomeAlone
  )
  PYTHONPATH=$PEER_FOLDER exec "$PROGRAM" "${options[@]}"
}

play "$1"
