// proxy-chain with nothing of its own: connections kept to both sides, no log.

const http = require("node:http");
const { Server } = require("proxy-chain");

const agent = new http.Agent({ keepAlive: true, maxSockets: Infinity, maxFreeSockets: 1024 });

const server = new Server({
  host: "127.0.0.1",
  port: Number(process.env.PEER_PORT),
  verbose: false,
  prepareRequestFunction: () => ({ httpAgent: agent }),
});
server.server.keepAliveTimeout = 60_000;
server.listen();
