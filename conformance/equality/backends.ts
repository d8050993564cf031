import { once } from "node:events";
import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import { createServer as createHttp2Server, type Http2Server, type ServerHttp2Stream } from "node:http2";
import type { AddressInfo, Server, Socket } from "node:net";
import type { Endpoint } from "../../src/core/endpoint.ts";
import { digestOf, framed } from "./bodies.ts";
import { comparedHeaders } from "./headers.ts";
import type { Attempt, Behaviour } from "./model.ts";

/** The servers behind every place: Node's own, so that nothing of weft's is on both sides. They do as the request's script says and note what they saw. */
export interface Backends {
  readonly endpoints: readonly Endpoint[];
  /** Tells what becomes of the attempts of the request `id`; `ailing`: at the first endpoint of each backend, whichever attempt it is. */
  script(id: string, steps: readonly Behaviour[], ailing?: Behaviour | null): void;
  /** What was seen of it; forgets it. */
  seen(id: string): { attempts: readonly Attempt[]; mirrors: readonly Attempt[] };
  close(): Promise<void>;
}

/** The field that names a request to the backends. */
export const ID_FIELD = "x-eq-id";

interface Told {
  readonly steps: readonly Behaviour[];
  readonly ailing: Behaviour | null;
  readonly attempts: Attempt[];
  readonly mirrors: Attempt[];
}

/**
 *     web      HTTP/1.1, two endpoints            rpc      gRPC, two endpoints
 *     split    HTTP/1.1, v1 and v2                duo      gRPC, v1 and v2
 *     other    HTTP/1.1, one endpoint
 *     shadow   HTTP/1.1, for mirrors alone: what comes there is no attempt
 *     closed   one endpoint at which nobody listens
 *     gone     no endpoint
 */
const ENDPOINTS = [
  ["web", "", 1, "http1"],
  ["web", "", 2, "http1"],
  ["split", "v1", 1, "http1"],
  ["split", "v2", 1, "http1"],
  ["other", "", 1, "http1"],
  ["shadow", "", 1, "http1"],
  ["closed", "", 1, "http1"],
  ["rpc", "", 1, "h2c"],
  ["rpc", "", 2, "h2c"],
  ["duo", "v1", 1, "h2c"],
  ["duo", "v2", 1, "h2c"],
] as const;
export const SERVICES = [...new Set(ENDPOINTS.map(([service]) => service as string)), "gone"];

export async function startBackends(): Promise<Backends> {
  const told = new Map<string, Told>();
  const closing: (() => void)[] = [];
  const endpoints: Endpoint[] = [];
  const add = async (service: string, version: string, number: number, protocol: "http1" | "h2c"): Promise<void> => {
    const name = version === "" ? service : `${service}@${version}`;
    const look: Look = (headers, method, path, host) => {
      const found = told.get(String(headers[ID_FIELD] ?? ""));
      const fine: Behaviour = { do: "answer", status: 200 };
      if (found === undefined) return { step: fine, got() {} };
      const about = { backend: name, endpoint: number, method, path, host, headers: comparedHeaders(headers) };
      const attempt = { ...about, body: "unfinished" };
      const got = (chunks: readonly Uint8Array[]): void => void (attempt.body = digestOf(chunks));
      if (service === "shadow") {
        found.mirrors.push(attempt);
        return { step: fine, got };
      }
      found.attempts.push(attempt);
      if (found.ailing !== null && number === 1) return { step: found.ailing, got };
      return { step: found.steps[Math.min(found.attempts.length, found.steps.length) - 1] ?? fine, got };
    };
    const server = protocol === "http1" ? http1Server(name, look) : grpcServer(name, look);
    const sockets = new Set<Socket>();
    server.on("connection", (socket: Socket) => {
      sockets.add(socket);
      socket.on("error", () => {}).on("close", () => sockets.delete(socket));
    });
    server.listen(0, "127.0.0.1");
    await once(server, "listening");
    const { port } = server.address() as AddressInfo;
    const id = `${service}${version}-${number}`;
    const rest = { zone: "", weight: 1, protocol, health: "healthy" as const, metadata: {} };
    endpoints.push({ id, service, host: "127.0.0.1", port, version, ...rest });
    closing.push(() => {
      server.close();
      for (const socket of sockets) socket.destroy();
    });
    if (service === "closed") closing.pop()?.();
  };
  for (const [service, version, number, protocol] of ENDPOINTS) await add(service, version, number, protocol);
  return {
    endpoints,
    script: (id, steps, ailing = null) => void told.set(id, { steps, ailing, attempts: [], mirrors: [] }),
    seen(id) {
      const found = told.get(id);
      told.delete(id);
      return { attempts: found?.attempts ?? [], mirrors: found?.mirrors ?? [] };
    },
    async close() {
      for (const close of closing) close();
    },
  };
}

/** What to do with a request; `got` is told its body when that has come. */
type Look = (
  headers: Record<string, unknown>,
  method: string,
  path: string,
  host: string,
) => { step: Behaviour; got(chunks: readonly Uint8Array[]): void };

function http1Server(name: string, look: Look): Server {
  const answer = (request: IncomingMessage, response: ServerResponse): void => {
    const { step, got } = look(request.headers, request.method ?? "", request.url ?? "", request.headers.host ?? "");
    const head = (status: number, more: Record<string, string> = {}): void => {
      response.writeHead(status, { "x-origin": name, "x-set": "backend", "x-drop": "backend", ...more });
    };
    // The body is read to its end first: a connection may not be kept otherwise.
    const chunks: Uint8Array[] = [];
    request.on("data", (chunk: Uint8Array) => chunks.push(chunk));
    request.on("end", () => {
      got(chunks);
      if (step.do === "reset") request.socket.destroy();
      else if (step.do === "answer") {
        head(step.status, step.retryAfter === undefined ? {} : { "retry-after": step.retryAfter });
        response.end(step.status === 204 || step.status === 304 ? undefined : `${step.status} of ${name}`);
      } else if (step.do === "grpc") {
        head(200);
        response.end(`200 of ${name}`);
      } else if (step.do === "late") {
        setTimeout(() => {
          head(200);
          response.end(`200 of ${name}`);
        }, step.afterMs);
      } else if (step.do === "long") {
        head(200);
        response.write("200 of ");
        setTimeout(() => response.end(name), step.forMs);
      } else if (step.do === "cut") {
        head(200, { "content-length": "1000" });
        response.write("part", () => setTimeout(() => request.socket.destroy(), CUT_AFTER_MS));
      }
    });
  };
  return createServer({ keepAliveTimeout: 60_000 }, answer);
}

function grpcServer(name: string, look: Look): Http2Server {
  const server = createHttp2Server();
  server.on("stream", (stream: ServerHttp2Stream, headers) => {
    stream.on("error", () => {});
    const { step, got } = look(headers, `${headers[":method"]}`, `${headers[":path"]}`, `${headers[":authority"]}`);
    const said = { "content-type": "application/grpc", "x-origin": name, "x-set": "backend", "x-drop": "backend" };
    const message = framed(Buffer.from(name));
    const end = (trailers: Record<string, string>, messages: number): void => {
      stream.respond({ ":status": 200, ...said }, { waitForTrailers: true });
      stream.on("wantTrailers", () => stream.sendTrailers(trailers));
      for (let i = 1; i < messages; i++) stream.write(message);
      if (messages === 0) stream.end();
      else stream.end(message);
    };
    const succeed = (): void => end({ "grpc-status": "0" }, step.do === "grpc" ? (step.messages ?? 1) : 1);
    const chunks: Uint8Array[] = [];
    stream.on("data", (chunk: Uint8Array) => chunks.push(chunk));
    stream.on("end", () => {
      got(chunks);
      if (stream.destroyed) return;
      if (step.do === "reset") stream.close(INTERNAL_ERROR);
      else if (step.do === "late") setTimeout(() => !stream.destroyed && succeed(), step.afterMs);
      else if (step.do === "cut") {
        stream.respond({ ":status": 200, ...said });
        stream.write(message, () => setTimeout(() => stream.destroy(new Error("cut")), CUT_AFTER_MS));
      } else if (step.do === "answer" && step.status >= 300) {
        const after = step.retryAfter === undefined ? {} : { "retry-after": step.retryAfter };
        stream.respond({ ":status": step.status, "x-origin": name, ...after }, { endStream: true });
      } else if (step.do === "grpc" && step.code !== 0) {
        const asks: Record<string, string> =
          step.pushback === undefined ? {} : { "grpc-retry-pushback-ms": step.pushback };
        const failure = { "grpc-status": String(step.code), "grpc-message": `code ${step.code}`, ...asks };
        if (step.trailersOnly) stream.respond({ ":status": 200, ...said, ...failure }, { endStream: true });
        else end(failure, step.messages ?? 0);
      } else if (step.do !== "hang") succeed();
    });
  });
  return server;
}

/** RFC 9113 section 7. */
const INTERNAL_ERROR = 2;
/** So that the head certainly went on before. */
const CUT_AFTER_MS = 20;
