// Tools with MCP's TypeScript SDK: mcp_tools.cjs CALLS (URL | COMMAND...). Prints what a client sees, as JSON.
//
// CALLS is a JSON list of [tool, arguments]. A token and a session for HTTP come from TOKEN and SESSION in the
// environment.
"use strict";

const { Client } = require("@modelcontextprotocol/sdk/client/index.js");
const { StdioClientTransport } = require("@modelcontextprotocol/sdk/client/stdio.js");
const { StreamableHTTPClientTransport } = require("@modelcontextprotocol/sdk/client/streamableHttp.js");

function transport(target) {
  if (target.length > 1) {
    return new StdioClientTransport({ command: target[0], args: target.slice(1), env: process.env });
  }
  const headers = {};
  if (process.env.TOKEN) headers.authorization = `Bearer ${process.env.TOKEN}`;
  if (process.env.SESSION) headers["exeat-session"] = process.env.SESSION;
  return new StreamableHTTPClientTransport(new URL(target[0]), { requestInit: { headers } });
}

async function call(client, name, args) {
  try {
    const result = await client.callTool({ name, arguments: args });
    const texts = result.content.map((block) => block.text);
    return { is_error: result.isError, structured: result.structuredContent, texts };
  } catch (error) {
    return { code: error.code };
  }
}

async function main(calls, ...target) {
  const client = new Client({ name: "exeat-tests", version: "1.0.0" });
  await client.connect(transport(target));
  const { tools } = await client.listTools();
  const results = [];
  for (const each of JSON.parse(calls)) results.push(await call(client, ...each));
  const seen = { tools: tools.map((tool) => tool.name), results };
  await client.close();
  console.log(JSON.stringify(seen));
}

main(...process.argv.slice(2));
