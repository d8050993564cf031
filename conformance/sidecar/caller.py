"""Leaves its environment where the suite finds it, so that other programs can call as it would; otherwise it only listens."""
import json, os, signal, sys
from http.server import BaseHTTPRequestHandler, HTTPServer

signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
path = os.path.join(os.environ["SUITE_DIR"], os.environ["WEFT_SERVICE"] + ".json")
with open(path + ".new", "w") as file:
    json.dump(dict(os.environ), file)
os.rename(path + ".new", path)
# It is ready when it listens.
HTTPServer(("127.0.0.1", int(os.environ["PORT"])), BaseHTTPRequestHandler).serve_forever()
