import { toWeftError, WeftError } from "../../core/errors.ts";
import { fieldOf } from "../../core/fields.ts";
import { printable } from "../../core/printable.ts";
import { type Head, responseHead } from "../../wire/head.ts";
import type { HttpStream, RequestHandler, StreamSink } from "../../wire/stream.ts";
import { assertNoForeignPage } from "../foreign-page.ts";
import { bad } from "./refusal.ts";
import { type ConsulAnswer, type ConsulRequest, type Router, statusOfError } from "./router.ts";

/** Reads a request whole, answers it, and says what is wrong with it as Consul does: a status and a line of text. */
export function createConsulHandler(
  router: Router,
  assertPlain: (peerAddress: string, secret: boolean) => void,
  onError: (message: string) => void,
): RequestHandler {
  return {
    onRequest(stream, head, fin) {
      const gathered = new GatheredRequest((body) => void answer(stream, head, body));
      stream.sink = gathered;
      if (fin) gathered.end();
    },
  };

  async function answer(stream: HttpStream, head: Head, body: GatheredRequest): Promise<void> {
    try {
      const made = await respond(stream, head, body);
      if (!stream.closed) send(stream, head, made);
    } catch (thrown) {
      const error = toWeftError(thrown);
      if (!(thrown instanceof WeftError))
        onError(
          `${head.method} ${printable(head.path.split("?", 1)[0], 200)}: ${thrown instanceof Error ? thrown.stack : thrown}`,
        );
      if (!stream.closed)
        sendText(stream, head, statusOfError(error), thrown instanceof WeftError ? error.message : "internal error");
    }
  }

  async function respond(stream: HttpStream, head: Head, body: GatheredRequest): Promise<ConsulAnswer> {
    const mark = head.path.indexOf("?");
    const path = mark < 0 ? head.path : head.path.slice(0, mark);
    const query = new URLSearchParams(mark < 0 ? "" : head.path.slice(mark + 1));
    const token = tokenOf(head, query);
    const { address, secure } = stream.connection.peer;
    if (!secure) {
      assertPlain(address, token !== "");
      const field = (name: string) => fieldOf(head.fields, name);
      assertNoForeignPage({ peerAddress: address, authority: head.authority, field });
    }
    if (body.tooLarge)
      throw new WeftError("resource_exhausted", `the body has more than ${MAX_BODY_BYTES} bytes`, {
        reason: "BODY_TOO_LARGE",
      });
    const method = head.method === "HEAD" ? "GET" : head.method;
    const found = router.find(method, path);
    if (found === null) throw missing(path);
    if (!("handler" in found))
      throw new WeftError("unimplemented", `${path} takes ${found.join(", ")}, not ${head.method}`, {
        reason: "METHOD_NOT_ALLOWED",
      });
    const request: ConsulRequest = {
      method,
      path,
      query,
      params: found.params,
      token,
      peerHost: address
        .slice(0, address.lastIndexOf(":"))
        .replace(/^\[|\]$/g, "")
        .replace(/^::ffff:(?=\d+\.)/, ""),
      peerAddress: address,
      json: () => body.json(),
      onGone: (stop) => body.onGone(stop),
    };
    return found.handler(request);
  }
}

function missing(path: string): WeftError {
  const [, version, family = ""] = path.split("/");
  if (version === "v1" && OTHER.has(family)) {
    const instead = OTHER.get(family);
    return new WeftError(
      "unimplemented",
      `/v1/${family} of Consul's API is not served here: ${instead}; what is: ${SERVED}`,
      { reason: "NOT_SUPPORTED" },
    );
  }
  return new WeftError("not_found", `no ${path.slice(0, 200)} here; there are ${SERVED}`, { reason: "NOT_FOUND" });
}

function tokenOf({ fields }: Head, query: URLSearchParams): string {
  const bearer = fieldOf(fields, "authorization") ?? "";
  return (
    fieldOf(fields, "x-consul-token") ?? (bearer.startsWith("Bearer ") ? bearer.slice(7) : (query.get("token") ?? ""))
  ).slice(0, 512);
}

function send(stream: HttpStream, head: Head, { status = 200, json, index, staleMs }: ConsulAnswer): void {
  const pretty = /[?&]pretty(?:[&=]|$)/.test(head.path);
  const text = json === undefined ? "" : pretty ? `${JSON.stringify(json, null, 4)}\n` : JSON.stringify(json);
  const fields = ["x-consul-default-acl-policy", "allow"];
  if (index !== undefined) {
    fields.push("x-consul-index", `${index}`, "x-consul-knownleader", "true");
    fields.push("x-consul-lastcontact", `${Math.round(staleMs ?? 0)}`);
  }
  sendBody(stream, head, status, "application/json", text, fields);
}

function sendText(stream: HttpStream, head: Head, status: number, text: string): void {
  sendBody(stream, head, status, "text/plain; charset=utf-8", text, []);
}

function sendBody(
  stream: HttpStream,
  head: Head,
  status: number,
  type: string,
  text: string,
  fields: readonly string[],
): void {
  const body = Buffer.from(text);
  const only = head.method === "HEAD" || body.length === 0;
  const all = ["content-type", type, "content-length", `${body.length}`, "cache-control", "no-store", ...fields];
  stream.sendHead(responseHead(status, all), null, only);
  if (!only) stream.sendData(body, 0, body.length, true);
}

/** A request's body as it comes, up to a limit, and whether its client is still there. */
class GatheredRequest implements StreamSink {
  readonly #whole: (body: GatheredRequest) => void;
  #parts: Uint8Array[] = [];
  #bytes = 0;
  #ended = false;
  #gone = false;
  #stop: () => void = ignore;
  tooLarge = false;

  constructor(whole: (body: GatheredRequest) => void) {
    this.#whole = whole;
  }

  json(): unknown {
    const text = Buffer.concat(this.#parts).toString("utf8");
    if (text.trim() === "") throw bad("is empty; it must be JSON", "the body");
    try {
      return JSON.parse(text);
    } catch (error) {
      throw bad(`is no JSON: ${error instanceof Error ? error.message.slice(0, 120) : ""}`, "the body");
    }
  }

  onGone(stop: () => void): void {
    if (this.#gone) stop();
    else this.#stop = stop;
  }

  end(): void {
    if (this.#ended) return;
    this.#ended = true;
    this.#whole(this);
  }

  onHead(): void {}

  onData(stream: HttpStream, chunk: Uint8Array, start: number, end: number, fin: boolean): void {
    this.#bytes += end - start;
    if (this.#bytes > MAX_BODY_BYTES) {
      this.tooLarge = true;
      this.#parts = [];
    } else if (end > start) {
      // A copy: sockets read into one buffer, and of a Buffer slice() is a view.
      this.#parts.push(Buffer.from(chunk.subarray(start, end)));
    }
    if (!fin) stream.credit(end - start);
    // What is over the limit is not waited for.
    if (fin || this.tooLarge) this.end();
  }

  onTrailers(): void {
    this.end();
  }

  onReset(): void {
    this.#gone = true;
    this.#ended = true;
    this.#stop();
  }

  onWritable(): void {}
}

function ignore(): void {}

const MAX_BODY_BYTES = 262_144;
const SERVED = "/v1/agent (services, checks, self, members), /v1/catalog, /v1/health and /v1/status";
/** What Consul has besides, and what does it in weft. */
const OTHER: ReadonlyMap<string, string> = new Map([
  ["kv", "configuration is in `weft settings`"],
  ["session", "locks are not kept for others"],
  ["txn", "configuration is in `weft settings`"],
  ["config", "routes and policies are published by `weft publish`"],
  ["connect", "certificates and sidecars are weft's own: `weft ca`, `weft sidecar`"],
  ["acl", "tokens are made by `weft token`"],
  ["event", "there are no user events"],
  ["query", "prepared queries are routes: `weft publish`"],
  ["discovery-chain", "routes are published by `weft publish`"],
  ["coordinate", "distances between nodes are not measured"],
  ["operator", "there is no Raft of Consul's here"],
  ["snapshot", "the control plane's data folder is what to copy"],
  ["peering", "registries are copied by `weft registry copy`"],
  ["internal", "there is no user interface of Consul's here"],
]);
