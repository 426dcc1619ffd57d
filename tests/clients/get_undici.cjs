// GET with undici: get_undici.cjs URL. Prints what a caller sees, as JSON.
"use strict";

const { EnvHttpProxyAgent, request, setGlobalDispatcher } = require("undici");

// Node's own fetch reads the proxy variables only in newer releases; this agent does in all.
setGlobalDispatcher(new EnvHttpProxyAgent());

async function main(url) {
  const response = await request(url);
  const seen = {
    status: response.statusCode,
    version: "1.1",
    refusal: response.headers["exeat-refusal"] ?? "",
    body: await response.body.json(),
  };
  console.log(JSON.stringify(seen));
}

main(process.argv[2]);
