"""GET with httpx: get_httpx.py 1.1|2 URL. Prints what a caller sees, as JSON."""

import json
import sys

import httpx

version, url = sys.argv[1:]
with httpx.Client(http2=version == "2", timeout=30) as client:
    response = client.get(url)
print(
    json.dumps(
        {
            "status": response.status_code,
            "version": response.http_version.removeprefix("HTTP/"),
            "refusal": response.headers.get("Exeat-Refusal", ""),
            "body": response.json(),
        }
    )
)
