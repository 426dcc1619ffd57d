"""How uvicorn with h11, ASGI and Starlette, which FastAPI is made of, read a request."""

from starlette.requests import Request
from starlette.responses import PlainTextResponse

from lines import Lines


async def application(scope, receive, send):
    if scope["type"] != "http":
        return
    lines = Lines()
    request = Request(scope, receive)
    query = scope["query_string"].decode()
    lines.tell("method", request.method)
    target = scope["raw_path"].decode()
    lines.tell("target", f"{target}?{query}" if query else target)
    lines.tell("path", "asgi", scope["path"])
    lines.tell_pairs("query", "starlette", request.query_params.multi_items())
    lines.tell_parsed("query", query)
    for name, value in scope["headers"]:
        lines.tell("header", name, value)
    body = await request.body()
    lines.tell("body", body)
    content_type = request.headers.get("content-type", "")
    if "json" in content_type:
        lines.tell_json(body)
    if "urlencoded" in content_type:
        fields = await request.form()
        lines.tell_pairs("form", "starlette", fields.multi_items())
        lines.tell_parsed("form", body.decode())
    await PlainTextResponse(lines.end())(scope, receive, send)
