"""Tools with MCP's Python SDK: mcp_tools.py MODE CALLS (URL | COMMAND...). Prints what a client sees, as JSON.

MODE is the SDK's: auto, legacy, or a revision. CALLS is a JSON list of [tool, arguments]. A token and a session for
HTTP come from TOKEN and SESSION in the environment.
"""

import asyncio
import contextlib
import json
import os
import sys

import httpx2
from mcp import Client, MCPError, StdioServerParameters
from mcp.client.streamable_http import streamable_http_client


def server(target):
    if len(target) > 1:
        return StdioServerParameters(command=target[0], args=target[1:], env=dict(os.environ))
    headers = {}
    if "TOKEN" in os.environ:
        headers["Authorization"] = f"Bearer {os.environ['TOKEN']}"
    if "SESSION" in os.environ:
        headers["Exeat-Session"] = os.environ["SESSION"]
    return streamable_http_client(target[0], http_client=httpx2.AsyncClient(headers=headers, timeout=30))


async def call(client, name, arguments):
    try:
        result = await client.call_tool(name, arguments)
    except MCPError as error:
        return {"code": error.error.code}
    texts = [block.text for block in result.content]
    return {"is_error": result.is_error, "structured": result.structured_content, "texts": texts}


async def main(mode, calls, *target):
    async with contextlib.AsyncExitStack() as stack:
        client = await stack.enter_async_context(Client(server(target), mode=mode))
        tools = (await client.list_tools()).tools
        seen = {
            "revision": client.protocol_version,
            "tools": [tool.name for tool in tools],
            "results": [await call(client, *each) for each in json.loads(calls)],
        }
    print(json.dumps(seen))


asyncio.run(main(*sys.argv[1:]))
