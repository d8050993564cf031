import { Agent as HttpAgent, request as httpRequest, type IncomingMessage } from "node:http";
import { Agent as HttpsAgent, request as httpsRequest } from "node:https";
import type { Clock } from "../../core/clock.ts";
import { WeftError } from "../../core/errors.ts";
import { readTls } from "../driver-tls.ts";
import type { TlsFiles } from "../driver-url.ts";
import { denied, failed, lineBroken } from "./consul-error.ts";
import type { ConsulTarget } from "./consul-url.ts";

export interface ConsulRequest {
  method?: "GET" | "PUT" | "DELETE";
  /** "/v1/kv/weft/shop/": escaped already. */
  path: string;
  /** "": a flag ("consistent"). */
  query?: Readonly<Record<string, string>>;
  /** Sent as JSON. */
  body?: unknown;
  /** Default 3,000. */
  timeoutMs?: number;
}

export interface ConsulAnswer {
  /** 200, 404 or 409: what else there is rejects. */
  readonly status: number;
  /** To be waited beyond by the next query; 0: there is none. */
  readonly index: number;
  /** Consul left out what the token may not see. */
  readonly filtered: boolean;
  /** Parsed; null: there was none. */
  readonly body: unknown;
}

/**
 * An agent's HTTP API, on connections that are kept. Rejects `unauthenticated` (the token is unknown, or there is none), `permission_denied` (it lacks a right, which is named),
 * `unavailable` (nobody answers, or the servers have no leader), with `retryable` where nothing can have been done.
 */
export class ConsulClient {
  readonly target: ConsulTarget;
  /** For messages. */
  readonly name: string;
  readonly #clock: Clock;
  readonly #agent: HttpAgent | HttpsAgent;
  readonly #headers: Readonly<Record<string, string>>;
  readonly #open = new Set<(error: WeftError) => void>();
  #closed = false;

  /** Throws `invalid_argument` where a file of TLS cannot be used. */
  constructor(target: ConsulTarget, clock: Clock) {
    const { host, port, token, tls } = target;
    this.target = target;
    this.#clock = clock;
    this.name = `Consul at ${host.includes(":") ? `[${host}]` : host}:${port}`;
    // Of one machine Consul takes 200 connections, by default; several control planes may run there.
    const keep = { keepAlive: true, keepAliveMsecs: 5_000, maxSockets: MAX_SOCKETS, scheduling: "lifo" as const };
    this.#agent = tls === null ? new HttpAgent(keep) : new HttpsAgent({ ...keep, ...agentTls(tls) });
    this.#headers = token === "" ? {} : { "x-consul-token": token };
  }

  request({ method = "GET", path, query = {}, body, timeoutMs = 3_000 }: ConsulRequest): Promise<ConsulAnswer> {
    if (this.#closed) return Promise.reject(closed());
    const { host, port, datacenter, tls } = this.target;
    const all = datacenter === "" || path.startsWith("/v1/agent/") ? query : { dc: datacenter, ...query };
    const text = new URLSearchParams(all).toString();
    const bytes = body === undefined ? null : Buffer.from(JSON.stringify(body));
    const length = bytes === null ? {} : { "content-type": "application/json", "content-length": bytes.length };
    const options = {
      method,
      host,
      port,
      path: text === "" ? path : `${path}?${text}`,
      agent: this.#agent,
      headers: { ...this.#headers, ...length },
    };
    return new Promise((resolve, reject) => {
      const request = (tls === null ? httpRequest : httpsRequest)(options);
      const settle = (error: WeftError | null, answer?: ConsulAnswer): void => {
        if (!this.#open.delete(settle)) return;
        cancel();
        if (answer !== undefined) resolve(answer);
        else {
          reject(error);
          request.destroy();
        }
      };
      this.#open.add(settle);
      const cancel = this.#clock.after(timeoutMs, () =>
        settle(lineBroken(this.name, `${timeoutMs} ms without an answer`)),
      );
      request.on("error", (cause: NodeJS.ErrnoException) =>
        settle(lineBroken(this.name, cause.code ?? "broken", cause.code === "ECONNREFUSED")),
      );
      request.on("response", (response) => this.#read(response, settle));
      request.end(bytes ?? undefined);
    });
  }

  /** What is under way rejects. Idempotent. */
  close(): void {
    this.#closed = true;
    for (const settle of [...this.#open]) settle(closed());
    this.#agent.destroy();
  }

  #read(response: IncomingMessage, settle: (error: WeftError | null, answer?: ConsulAnswer) => void): void {
    const chunks: Buffer[] = [];
    let size = 0;
    response.on("data", (chunk: Buffer) => {
      size += chunk.length;
      chunks.push(chunk);
      if (size > MAX_ANSWER_BYTES) settle(tooLarge(this.name));
    });
    response.on("error", () => settle(lineBroken(this.name, "the answer was cut off")));
    response.on("close", () => settle(lineBroken(this.name, "the answer was cut off")));
    response.on("end", () => {
      if (!response.complete) return;
      const status = response.statusCode ?? 0;
      const text = Buffer.concat(chunks).toString("utf8");
      if (status === 403) return settle(denied(this.name, text, this.target.token !== ""));
      if (status !== 200 && status !== 404 && status !== 409) return settle(failed(this.name, status, text));
      const index = Number(response.headers["x-consul-index"] ?? 0);
      const filtered = response.headers["x-consul-results-filtered-by-acls"] === "true";
      const isJson = response.headers["content-type"]?.startsWith("application/json") === true;
      let body: unknown = null;
      try {
        if (isJson && text !== "") body = JSON.parse(text);
      } catch {
        return settle(failed(this.name, status, "no JSON"));
      }
      settle(null, { status, index: Number.isSafeInteger(index) && index > 0 ? index : 0, filtered, body });
    });
  }
}

function agentTls(files: TlsFiles): object {
  const { serverName: servername, ...pem } = readTls(files, "Consul");
  return { ...pem, ...(servername !== undefined && { servername }) };
}

function closed(): WeftError {
  return new WeftError("unavailable", "the connection to Consul was closed", { reason: "CONSUL_CLOSED" });
}

function tooLarge(name: string): WeftError {
  const text = `${name} answers with more than ${MAX_ANSWER_BYTES} bytes, which are not read`;
  return new WeftError("resource_exhausted", text, { reason: "ANSWER_TOO_LARGE" });
}

const MAX_SOCKETS = 40;
/** 50,000 endpoints, or 200 revisions of the largest size. */
const MAX_ANSWER_BYTES = 67_108_864;
