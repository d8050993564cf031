import { timingSafeEqual } from "node:crypto";
import { once } from "node:events";
import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { toWeftError } from "../core/errors.ts";
import { tailOf } from "./log-tail.ts";
import type { Host, HostEvent, InstanceView } from "./types.ts";

/**
 * The host's own interface for `weft ps`, `logs`, `restart` and `stop`: JSON over HTTP on a free port of 127.0.0.1. Every request needs the
 * token that stands in the run file, which only the system's owner can read.
 *
 *     GET  /v1/ps                                    { phase, control, gateway, gatewayAdmin, dns, instances }
 *     GET  /v1/logs?name=NAME&lines=N&follow=1       text lines; with `follow` until the caller goes
 *     POST /v1/restart?name=NAME                     answers when every instance was replaced
 *     POST /v1/stop                                  answers at once; again: kills
 *
 * Errors are { code, reason, message } with a status of 4xx.
 */
export interface HostServer {
  readonly url: string;
  /** Hands an event to those who follow logs. */
  onEvent(event: HostEvent): void;
  close(): void;
}

/** What is known of an instance's calls within the last seconds. */
export interface InstanceCalls {
  readonly perSecond: number;
  /** Milliseconds; NaN (null in JSON) without calls. */
  readonly p50Ms: number;
  readonly p99Ms: number;
  /** Since it started, by the server's fault. */
  readonly errors: number;
}

/** `callsOf`: figures of an instance for `ps`, null while there are none. */
export async function startHostServer(
  host: Host,
  token: string,
  callsOf: (instance: InstanceView) => InstanceCalls | null = () => null,
): Promise<HostServer> {
  const followers = new Set<{ readonly service: string; readonly response: ServerResponse }>();
  const server: Server = createServer({ maxHeaderSize: 8_192, requestTimeout: 10_000 }, (request, response) => {
    request.resume(); // bodies mean nothing here
    if (!authorized(request, token))
      return answer(response, 401, {
        code: "unauthenticated",
        reason: "BAD_TOKEN",
        message: "the token of .weft/run.json is needed",
      });
    void handle(request, response).catch((thrown: unknown) => {
      const error = toWeftError(thrown);
      answer(response, error.code === "not_found" ? 404 : 409, {
        code: error.code,
        reason: error.reason,
        message: error.message,
      });
    });
  });
  server.maxConnections = 100;

  async function handle(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const url = new URL(request.url ?? "/", "http://host");
    const name = url.searchParams.get("name") ?? "";
    switch (`${request.method} ${url.pathname}`) {
      case "GET /v1/ps": {
        const { phase, control, gateway, gatewayAdmin, dns } = host;
        const instances = host.instances().map((instance) => {
          const found = callsOf(instance);
          const { perSecond, p50Ms, p99Ms, errors } = found ?? {};
          return { ...instance, calls: found === null ? null : { perSecond, p50Ms, p99Ms, errors } };
        });
        return answer(response, 200, { phase, control, gateway, gatewayAdmin, dns, instances });
      }
      case "GET /v1/logs": {
        const lines = Math.min(Math.max(0, Number(url.searchParams.get("lines") ?? 100) || 0), 100_000);
        const path = host.logFile(name);
        response.writeHead(200, { "content-type": "text/plain; charset=utf-8" });
        response.write(await tailOf(path, lines));
        if (url.searchParams.get("follow") === null) {
          response.end();
          return;
        }
        const follower = { service: host.serviceOf(name), response };
        followers.add(follower);
        response.on("close", () => followers.delete(follower));
        return;
      }
      case "POST /v1/restart":
        await host.restart(name);
        return answer(response, 200, { restarted: name });
      case "POST /v1/stop":
        answer(response, 200, { stopping: true });
        host.stop();
        return;
      default:
        return answer(response, 404, {
          code: "not_found",
          reason: "NO_SUCH_PATH",
          message: `${request.method} ${url.pathname} is not served here`,
        });
    }
  }

  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    onEvent(event) {
      if (followers.size === 0 || !("unit" in event) || event.id === "") return;
      const text = `${new Date().toISOString()} ${event.id} ${event.type === "log" ? event.line : event.text}\n`;
      if (event.type === "starting" || event.type === "ready") return;
      for (const follower of followers) {
        if (host.serviceOf(event.unit) !== follower.service) continue;
        // One who does not read is cut off rather than queued for.
        if (follower.response.writableLength > MAX_BEHIND_BYTES) follower.response.destroy();
        else follower.response.write(text);
      }
    },
    close() {
      server.close();
      for (const { response } of followers) response.end();
      server.closeIdleConnections();
      setTimeout(() => server.closeAllConnections(), 200).unref();
    },
  };
}

const MAX_BEHIND_BYTES = 4 * 1024 * 1024;

function authorized(request: IncomingMessage, token: string): boolean {
  const given = Buffer.from(request.headers.authorization ?? "");
  const wanted = Buffer.from(`Bearer ${token}`);
  return given.length === wanted.length && timingSafeEqual(given, wanted);
}

function answer(response: ServerResponse, status: number, body: unknown): void {
  if (response.headersSent) {
    response.end();
    return;
  }
  response.writeHead(status, { "content-type": "application/json" });
  response.end(`${JSON.stringify(body)}\n`);
}
