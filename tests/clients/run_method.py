"""Calls `handle_event` of an API method: run_method.py FILE JSON. Prints what it returns, as JSON."""

import importlib.util
import json
import sys

file, event = sys.argv[1:]
spec = importlib.util.spec_from_file_location("method", file)
method = importlib.util.module_from_spec(spec)
spec.loader.exec_module(method)
print(json.dumps(method.handle_event(json.loads(event))))
