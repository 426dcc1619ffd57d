// How Node reads a request, in lines of words in hexadecimal digits.
//
// Usage: node.cjs PORT CERTIFICATE KEY. It says on standard error when it listens.

const fs = require('node:fs');
const https = require('node:https');
const querystring = require('node:querystring');

const [port, certificate, key] = process.argv.slice(2);

const hex = (text) => Buffer.from(text).toString('hex');

function read(request, body) {
  const lines = [];
  const tell = (kind, ...words) => lines.push([kind, ...words.map(hex)].join(' '));
  const tellPairs = (kind, text) => {
    tell(kind, 'whatwg');
    tell(kind, 'querystring');
    for (const [name, value] of new URLSearchParams(text)) tell(kind, 'whatwg', name, value);
    for (const [name, values] of Object.entries(querystring.parse(text, '&', '=', { maxKeys: 0 }))) {
      for (const value of [values].flat()) tell(kind, 'querystring', name, value);
    }
  };
  const url = new URL(request.url, 'https://localhost');
  tell('method', request.method);
  tell('target', request.url);
  tell('path', 'whatwg', decodeURIComponent(url.pathname));
  tell('path', 'querystring', querystring.unescape(request.url.split('?')[0]));
  tellPairs('query', url.search.slice(1));
  for (let at = 0; at < request.rawHeaders.length; at += 2) {
    tell('header', request.rawHeaders[at], request.rawHeaders[at + 1]);
  }
  tell('body', body);
  const type = request.headers['content-type'] ?? '';
  if (type.includes('json')) tell('json', 'v8', JSON.stringify(JSON.parse(body)));
  if (type.includes('urlencoded')) tellPairs('form', body.toString());
  tell('end');
  return lines.join('\n') + '\n';
}

const settings = { cert: fs.readFileSync(certificate), key: fs.readFileSync(key), keepAliveTimeout: 60000 };
const server = https.createServer(settings, (request, response) => {
  const blocks = [];
  request.on('data', (block) => blocks.push(block));
  request.on('end', () => {
    response.setHeader('Content-Type', 'text/plain');
    response.end(read(request, Buffer.concat(blocks)));
  });
});
server.listen(Number(port), '127.0.0.1', () => console.error('listening'));
