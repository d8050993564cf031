"""An HTTP/1.1 service of Python's standard library. It knows nothing of weft."""
import json, os, signal, sys, threading, time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

seen = {}
lock = threading.Lock()


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def answer(self):
        body = self.rfile.read(int(self.headers.get("content-length") or 0))
        path, _, query = self.path.partition("?")
        arguments = dict(part.split("=", 1) for part in query.split("&") if "=" in part)
        with lock:
            key = arguments.get("id", "")
            seen[key] = seen.get(key, 0) + 1
            times = seen[key]
            if key:
                with open(os.path.join(os.environ["SUITE_DIR"], "attempts-" + key), "a") as file:
                    file.write("x")
        if "sleep" in arguments:
            time.sleep(float(arguments["sleep"]))
        status = int(arguments.get("status", "200"))
        told = json.dumps({
            "version": os.environ.get("WEFT_VERSION", ""),
            "instance": os.environ.get("WEFT_INSTANCE", ""),
            "method": self.command,
            "path": path,
            "host": self.headers.get("host", ""),
            "peer": self.headers.get("x-weft-peer", ""),
            "forged": self.headers.get("x-forwarded-client-cert", ""),
            "trace": self.headers.get("traceparent", ""),
            "length": len(body),
            "times": times,
        }).encode()
        self.send_response(status)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(told)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(told)

    do_GET = do_POST = do_PUT = do_DELETE = do_HEAD = answer

    def log_message(self, *_):
        pass


server = ThreadingHTTPServer(("127.0.0.1", int(os.environ["PORT"])), Handler)
server.daemon_threads = True
signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
server.serve_forever()
