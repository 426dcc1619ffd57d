"""GET with requests: get_requests.py URL. Prints what a caller sees, as JSON."""

import json
import sys

import requests

[url] = sys.argv[1:]
response = requests.get(url, timeout=30)
print(
    json.dumps(
        {
            "status": response.status_code,
            "version": "1.1" if response.raw.version == 11 else "?",
            "refusal": response.headers.get("Exeat-Refusal", ""),
            "body": response.json(),
        }
    )
)
