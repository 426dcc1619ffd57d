"""What an origin tells of a request: lines of words in hexadecimal digits."""

import json
from urllib.parse import parse_qsl


class Lines:
    def __init__(self):
        self.lines = []

    def tell(self, kind, *words):
        encoded = [word if isinstance(word, bytes) else word.encode() for word in words]
        self.lines.append(" ".join([kind, *(word.hex() for word in encoded)]))

    def tell_pairs(self, kind, reader, pairs):
        self.tell(kind, reader)
        for name, value in pairs:
            self.tell(kind, reader, name, value)

    def tell_parsed(self, kind, text):
        """By the standard library, beside what the framework reads."""
        pairs = parse_qsl(text, keep_blank_values=True, strict_parsing=bool(text))
        self.tell_pairs(kind, "urllib", pairs)

    def tell_json(self, body):
        self.tell("json", "python", json.dumps(json.loads(body)))

    def end(self):
        self.tell("end")
        return ("\n".join(self.lines) + "\n").encode()
