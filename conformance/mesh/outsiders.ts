import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { tool } from "../tools.ts";
import { run } from "./commands.ts";

/** Programs that are not weft's, know nothing of it, and are told nothing: they call a name as they would anywhere. */
export class Outsiders {
  readonly #folder: string;

  constructor(folder: string) {
    this.#folder = folder;
    writeFileSync(this.app, APP);
    writeFileSync(this.echo, ECHO);
    writeFileSync(join(folder, "main.go"), GO);
  }

  /** A server of Python's standard library: HOST PORT. */
  get app(): string {
    return join(this.#folder, "app.py");
  }

  /** A server of bytes that are no HTTP: HOST PORT. */
  get echo(): string {
    return join(this.#folder, "echo.py");
  }

  /** Of each program: its name, the command that calls `http` and `grpc` (NAME:PORT), and what it prints when it was answered. */
  async callers(http: string, grpc: string): Promise<readonly [name: string, command: string[], answered: RegExp][]> {
    const requests = `import requests; print(requests.get("${http}/requests", timeout=10).text)`;
    const urllib = `import urllib.request; print(urllib.request.urlopen("${http}/urllib", timeout=10).read().decode())`;
    const caller = join(import.meta.dirname, "..", "sidecar", "Caller.java");
    const client = join(this.#folder, "client");
    const { status, output } = await run("go", ["build", "-o", client, join(this.#folder, "main.go")]);
    if (status !== 0) throw new Error(`go build: ${output}`);
    return [
      ["curl", ["curl", "-sS", "-m", "10", `${http}/curl`], /answer \/curl/],
      ["requests", [tool("python"), "-c", requests], /answer \/requests/],
      ["urllib", ["python3", "-c", urllib], /answer \/urllib/],
      ["java.net.http", ["java", caller, "-", "0", "2", `${http}/java`], /^200 answer \/java: 2$/m],
      ["Go's net/http", [client, `${http}/go`], /200 answer \/go/],
      ["grpc-go", [tool("grpc-peer"), "client", `dns:///${grpc}`, "", "4", "5000"], /^v1 : 4$/m],
    ];
  }
}

const APP = `
import sys
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    def do_GET(self):
        body = f"answer {self.path}".encode()
        self.send_response(200)
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)
    def log_message(self, *_):
        pass
server = ThreadingHTTPServer((sys.argv[1], int(sys.argv[2])), Handler)
print("listening", flush=True)
server.serve_forever()
`;

const ECHO = `
import socket, sys
server = socket.create_server((sys.argv[1], int(sys.argv[2])))
print("listening", flush=True)
while True:
    connection, _ = server.accept()
    connection.sendall(b"echo " + connection.recv(100))
    connection.close()
`;

const GO = `package main

import (
	"fmt"
	"io"
	"net/http"
	"os"
)

func main() {
	answer, err := http.Get(os.Args[1])
	if err != nil {
		fmt.Println(err)
		return
	}
	body, _ := io.ReadAll(answer.Body)
	fmt.Println(answer.StatusCode, string(body))
}
`;
