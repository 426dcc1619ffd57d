// mockttp with two rules: what is for one host goes on over TLS, all else as it came. No record is kept.

const fs = require("node:fs");
const mockttp = require("mockttp");

const { PEER_PORT, PEER_CA, PEER_CA_KEY, PEER_TLS_HOST, PEER_TLS_PORT, PEER_TUNNEL_HOST } = process.env;
const trust = { trustAdditionalCAs: [{ cert: fs.readFileSync(PEER_CA, "utf8") }] };

async function main() {
  const server = mockttp.getLocal({
    https: {
      cert: fs.readFileSync(PEER_CA, "utf8"),
      key: fs.readFileSync(PEER_CA_KEY, "utf8"),
      tlsPassthrough: [{ hostname: PEER_TUNNEL_HOST }],
    },
    http2: false,
    recordTraffic: false,
    suggestChanges: false,
  });
  await server
    .forAnyRequest()
    .forHostname(PEER_TLS_HOST)
    .withProtocol("http")
    .thenPassThrough({ ...trust, transformRequest: { setProtocol: "https" } });
  await server.forUnmatchedRequest().thenPassThrough(trust);
  await server.start(Number(PEER_PORT));
}

main();
