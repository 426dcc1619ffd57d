"""How gunicorn, WSGI and Werkzeug, which Flask is made of, read a request."""

from io import BytesIO
from urllib.parse import unquote

from werkzeug.wrappers import Request

from lines import Lines


def application(environ, start_response):
    lines = Lines()
    lines.tell("method", environ["REQUEST_METHOD"])
    target = environ["RAW_URI"]
    lines.tell("target", target)
    lines.tell("path", "wsgi", environ["PATH_INFO"].encode("latin-1"))
    lines.tell("path", "urllib", unquote(target.split("?")[0], errors="strict"))
    body = environ["wsgi.input"].read()
    environ["wsgi.input"] = BytesIO(body)
    request = Request(environ)
    lines.tell("path", "werkzeug", request.path)
    lines.tell_pairs("query", "werkzeug", request.args.items(multi=True))
    lines.tell_parsed("query", environ["QUERY_STRING"])
    for name, value in request.headers:
        lines.tell("header", name, value)
    lines.tell("body", body)
    content_type = request.content_type or ""
    if "json" in content_type:
        lines.tell_json(body)
    if "urlencoded" in content_type:
        lines.tell_pairs("form", "werkzeug", request.form.items(multi=True))
        lines.tell_parsed("form", body.decode())
    answer = lines.end()
    start_response("200 OK", [("Content-Type", "text/plain"), ("Content-Length", str(len(answer)))])
    return [answer]
