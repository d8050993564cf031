"""The catalog, in Python's standard library alone. It knows nothing of a mesh: urllib heeds http_proxy, as most programs do."""

import json
import os
import signal
import urllib.error
import urllib.parse
import urllib.request
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

SELF = {"service": os.environ["WEFT_SERVICE"], "version": os.environ.get("WEFT_VERSION", ""), "language": "Python"}


# Passed on, so that the calls that follow from a call belong to it: weft explain shows them together.
TRACE = ("x-request-id", "traceparent")


def call(to, path, count, headers):
    statuses, versions, peers = {}, {}, set()
    for _ in range(count):
        try:
            with urllib.request.urlopen(urllib.request.Request(f"http://{to}.weft{path}", headers=headers), timeout=10) as answer:
                status, body = answer.status, json.load(answer)
                versions[body.get("version", "")] = versions.get(body.get("version", ""), 0) + 1
                peers.add(body.get("peer", ""))
        except urllib.error.HTTPError as error:
            status = error.code
        except OSError:
            status = 0
        statuses[str(status)] = statuses.get(str(status), 0) + 1
    return {"statuses": statuses, "versions": versions, "peers": sorted(peers)}


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    wbufsize = 65536  # head and body in one piece

    def do_GET(self):
        url = urllib.parse.urlparse(self.path)
        query = dict(urllib.parse.parse_qsl(url.query))
        if url.path == "/hello":
            self.answer(200, {**SELF, "peer": self.headers.get("x-weft-peer", "")})
        elif url.path == "/call":
            trace = {name: self.headers[name] for name in TRACE if name in self.headers}
            self.answer(200, call(query["to"], query.get("path", "/hello"), int(query.get("count", "1")), trace))
        else:
            self.answer(404, {"error": "no such path"})

    def answer(self, status, body):
        data = json.dumps(body).encode()
        self.send_response(status)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def log_message(self, *_):
        pass


class Server(ThreadingHTTPServer):
    request_queue_size = 128
    daemon_threads = True


server = Server(("127.0.0.1", int(os.environ["PORT"])), Handler)
signal.signal(signal.SIGTERM, lambda *_: os._exit(0))
server.serve_forever()
