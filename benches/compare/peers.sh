# What the starters of peers share; read by each of them with `.`.
#
# A starter is asked `describe` (a line of JSON: what it is, and its modes) and `run` (it becomes the proxy). Around it:
#
# PEER_PORT                        where the proxy listens on 127.0.0.1
# PEER_FOLDER                      its own for the run
# PEER_CA, PEER_CA_KEY             whom it believes, and with what it signs
# PEER_PLAIN_HOST, PEER_PLAIN_PORT the plain origin; names of origins resolve
# PEER_TLS_HOST, PEER_TLS_PORT     the origin over TLS
# PEER_HTTP2_PORT                  the same where it prefers HTTP/2
# PEER_TUNNEL_HOST                 the same when its tunnels are not to be opened
# PEER_TARGET                      where `run` has put what is not the system's
#
# A peer whose interception signs with a CA of its own leaves it in $PEER_FOLDER/trust.pem.
# shellcheck shell=bash

PATH=$PATH:/usr/sbin

# play describe|run
play() {
  [[ $1 == describe ]] || begin
  "$1"
}

# Whoever started this holds the other end of its standard input. When that is gone, so is everything of this group,
# whose leader the proxy is: an end by force leaves nothing behind. What the proxy says goes to a file.
begin() {
  local leader=$$
  (cat >"$PEER_FOLDER/rest" && kill -KILL -- "-$leader") <&0 &
  exec </dev/null >"$PEER_FOLDER/log" 2>&1
}

# missing WHAT: the peer is not here.
missing() {
  printf 'missing: %s\n' "$1" >&2
  exit 1
}

# description VERSION MODE...: modes as `--mode` names them; with -2 for HTTP/2, with -anew for a proxy that closes each
# connection.
description() {
  local version=$1 IFS=,
  shift
  printf '{"version": "%s", "modes": [%s]}\n' "$version" "${*/*/\"&\"}"
}

# own USER: the folder goes to the user as whom the proxy runs once it has shed root.
own() {
  [[ $(id -u) != 0 ]] || chown -R "$1" "$PEER_FOLDER"
}

has() {
  command -v "$1" >/dev/null
}

# leaf: leaf.pem and leaf.key for the TLS origin's host, for those who make none themselves.
leaf() {
  openssl req -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout "$PEER_FOLDER/leaf.key" \
    -out "$PEER_FOLDER/leaf.csr" -subj "/CN=$PEER_TLS_HOST" -addext "subjectAltName=DNS:$PEER_TLS_HOST" &&
    openssl x509 -req -in "$PEER_FOLDER/leaf.csr" -CA "$PEER_CA" -CAkey "$PEER_CA_KEY" -days 2 \
      -copy_extensions copy -out "$PEER_FOLDER/leaf.pem"
}

# node_package NAME: sets `version`, if it is installed.
node_package() {
  local file=$PEER_TARGET/node/node_modules/$1/package.json
  { has node && [[ -e $file ]]; } || missing "$1 (npm)"
  version=$(node -p 'require(process.argv[1]).version' "$file")
}

# node_run NAME: becomes the program of that name in peers/node.
node_run() {
  local programs
  programs=$(cd "$(dirname "$0")/../peers/node" && pwd)
  # Where its packages are, and whom its clients believe.
  export NODE_PATH=$PEER_TARGET/node/node_modules NODE_EXTRA_CA_CERTS=$PEER_CA NODE_ENV=production
  exec node "$programs/$1.cjs"
}

# rust_program FRAMEWORK: sets `version`, if the program on it is built.
rust_program() {
  [[ -x $PEER_TARGET/rust/release/peer-$1 ]] || missing "$1 (crates.io)"
  version=$(sed -n "/^name = \"$1\"\$/{n;s/version = \"\(.*\)\"/\1/p}" "$(dirname "$0")/../peers/Cargo.lock")
}
