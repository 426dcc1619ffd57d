// http-mitm-proxy with one handler, which carries requests for one host to TLS: connections kept to both sides, no log.

const fs = require("node:fs");
const http = require("node:http");
const https = require("node:https");
const path = require("node:path");
const { Proxy } = require("http-mitm-proxy");

const { PEER_PORT, PEER_FOLDER, PEER_CA, PEER_TLS_HOST, PEER_TLS_PORT } = process.env;
const agents = { keepAlive: true, maxSockets: Infinity, maxFreeSockets: 1024 };
const secure = new https.Agent({ ...agents, ca: fs.readFileSync(PEER_CA) });

const proxy = new Proxy();
// What goes wrong is an answer that the bench counts.
proxy.onError(() => {});
proxy.onRequest((context, next) => {
  if (!context.isSSL && context.clientToProxyRequest.headers.host === `${PEER_TLS_HOST}:${PEER_TLS_PORT}`) {
    context.isSSL = true;
    context.proxyToServerRequestOptions.agent = secure;
  }
  return next();
});

const sslCaDir = path.join(PEER_FOLDER, "authority");
const options = {
  host: "127.0.0.1",
  port: Number(PEER_PORT),
  sslCaDir,
  keepAlive: true,
  timeout: 60_000,
  httpAgent: new http.Agent(agents),
  httpsAgent: secure,
};
proxy.listen(options, () => {
  // It signs with RSA, by an authority that it makes.
  fs.copyFileSync(path.join(sslCaDir, "certs", "ca.pem"), path.join(PEER_FOLDER, "trust.pem"));
});
