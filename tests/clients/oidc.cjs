// An OAuth2 server for the tests: oidc-provider with clients that may have client credentials only.
//
// Usage: oidc.cjs ISSUER CLIENT_ID CLIENT_SECRET. It prints its port, and ends when its input does.

const http = require('node:http');
const { pathToFileURL } = require('node:url');

const [issuer, clientId, clientSecret] = process.argv.slice(2);

async function main() {
  // The package is a module, and modules are not looked for in NODE_PATH.
  const { Provider } = await import(pathToFileURL(require.resolve('oidc-provider')));
  const client = (id, method) => ({
    client_id: id,
    client_secret: clientSecret,
    grant_types: ['client_credentials'],
    redirect_uris: [],
    response_types: [],
    scope: 'orders.read orders.write',
    token_endpoint_auth_method: method,
  });
  const provider = new Provider(issuer, {
    clients: [
      client(clientId, 'client_secret_basic'),
      client(`${clientId}-by-body`, 'client_secret_post'),
    ],
    scopes: ['orders.read', 'orders.write'],
    features: {
      clientCredentials: { enabled: true },
      devInteractions: { enabled: false },
      introspection: { enabled: true },
      revocation: { enabled: true },
      resourceIndicators: { enabled: false },
    },
    ttl: { ClientCredentials: 600 },
  });
  // It stands behind the test's TLS.
  provider.proxy = true;
  const server = http.createServer(provider.callback());
  server.listen(0, '127.0.0.1', () => console.log(server.address().port));
  process.stdin.resume().on('end', () => process.exit());
}

main();
