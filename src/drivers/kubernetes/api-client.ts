import { type ClientRequest, type IncomingMessage, Agent as PlainAgent, request as plainRequest } from "node:http";
import { Agent, request as tlsRequest } from "node:https";
import type { Cancel, Clock } from "../../core/clock.ts";
import { toWeftError, WeftError } from "../../core/errors.ts";
import type { Random } from "../../core/random.ts";
import { apiError } from "./api-error.ts";
import { type ApiResource, apiVersionOf, collectionPath, isRecord } from "./api-resource.ts";
import type { ClusterAccess } from "./cluster-access.ts";
import { Credentials } from "./credentials.ts";
import { JsonLines } from "./json-lines.ts";

export interface ApiClientOptions {
  access: ClusterAccess;
  clock: Clock;
  random: Random;
}

/** One question to the API server. */
export interface ApiQuestion {
  readonly verb: "get" | "list" | "watch" | "create" | "update" | "delete";
  readonly resource: ApiResource;
  readonly name?: string;
  readonly query?: Readonly<Record<string, string>>;
  readonly body?: unknown;
  /** Asks for names, labels and annotations alone. */
  readonly metadataOnly?: boolean;
}

export interface WatchStream {
  /** Never from inside open(). The objects of one read of the socket. */
  onEvents(events: readonly unknown[]): void;
  /** Once; null: the server ended it as it does after a while. */
  onEnd(error: WeftError | null): void;
}

/**
 * A small client of Kubernetes' API: JSON over HTTP/1.1 with connections that are kept, one more for each watch. Answers are limited, and each question has a deadline. What cannot have been carried out (no
 * connection, "too many requests") and what only reads is asked again until then; anything else is the caller's to repeat, for it may have been.
 */
export class ApiClient {
  readonly namespace: string;
  /** For messages: "10.0.0.1:6443". */
  readonly address: string;
  readonly #access: ClusterAccess;
  readonly #clock: Clock;
  readonly #random: Random;
  readonly #credentials: Credentials;
  #agent: Agent | PlainAgent | undefined;
  /** When something was answered last by a connection that is kept. */
  #heardAt = Number.NEGATIVE_INFINITY;
  readonly #open = new Set<ClientRequest>();
  #closed = false;

  /** Throws `invalid_argument` for files that cannot be used. */
  constructor({ access, clock, random }: ApiClientOptions) {
    this.#access = access;
    this.#clock = clock;
    this.#random = random;
    this.namespace = access.namespace;
    this.address = `${access.host.includes(":") ? `[${access.host}]` : access.host}:${access.port}`;
    this.#credentials = new Credentials(access, clock);
  }

  /** Resolves with the answer's object. Rejects what the API server refuses as apiError() says it, `unavailable` when it does not answer. */
  async ask(question: ApiQuestion, timeoutMs = CALL_MS): Promise<Record<string, unknown>> {
    const deadline = this.#clock.now() + timeoutMs;
    let said: WeftError | null = null;
    for (let again = false; ; ) {
      try {
        return await this.#once(question, Math.max(1, deadline - this.#clock.now()), timeoutMs);
      } catch (thrown) {
        const error = toWeftError(thrown);
        if (this.#closed) throw error;
        if (error.code === "unauthenticated" && !again && this.#credentials.reload()) {
          again = true; // the token was written anew a moment ago
          continue;
        }
        const reads = question.verb === "get" || question.verb === "list";
        if (!error.retryable && !(reads && error.code === "unavailable")) throw error;
        // What the deadline cut short knows less than what was asked before it.
        if (said === null || error.reason !== SLOW) said = error;
        const pause = BUSY_MS * (0.5 + this.#random.next());
        if (this.#clock.now() + pause >= deadline) throw said;
        await this.#pause(pause);
        // It may have been a longer one: what nobody waits for is not begun.
        if (this.#clock.now() >= deadline) throw said;
      }
    }
  }

  /** Follows changes. Resolves when the server has begun to send them. */
  async watch(question: ApiQuestion, stream: WatchStream): Promise<{ close(): void }> {
    const request = this.#request(question);
    const response = await this.#head(request, OPEN_MS, OPEN_MS);
    if (response.statusCode !== 200) {
      if (response.statusCode === 401) this.#credentials.reload(); // for the next time
      const answer = await this.#body(request, response, CALL_MS, CALL_MS);
      throw apiError(response.statusCode ?? 0, answer, this.#asked(question));
    }
    const lines = new JsonLines(MAX_LINE_BYTES);
    let over = false;
    const end = (error: WeftError | null): void => {
      if (over) return;
      over = true;
      this.#open.delete(request);
      request.destroy();
      stream.onEnd(error);
    };
    response.on("data", (bytes: Buffer) => {
      if (over) return;
      try {
        const events = lines.push(bytes);
        if (events.length > 0) stream.onEvents(events);
      } catch (thrown) {
        end(thrown instanceof WeftError ? thrown : badAnswer(this.address, thrown));
      }
    });
    response.on("end", () => end(null));
    response.on("error", (cause) => end(this.#broken(cause)));
    response.on("close", () => end(this.#broken(new Error("it was closed"))));
    return {
      close: () => {
        over = true;
        this.#open.delete(request);
        request.destroy();
      },
    };
  }

  /** Ends what is under way. Idempotent. */
  close(): void {
    this.#closed = true;
    for (const request of this.#open) request.destroy();
    this.#open.clear();
    this.#agent?.destroy();
  }

  /** Connections may be dead without a word: the next questions take others. None is when something was answered `since`: then there is much to do, and it would be done anew. */
  reconnect(since = Number.POSITIVE_INFINITY): void {
    if (this.#heardAt >= since) return;
    this.#agent?.destroy();
    this.#agent = undefined;
  }

  /** `leftMs` of the time that was given for it. */
  async #once(question: ApiQuestion, leftMs: number, givenMs: number): Promise<Record<string, unknown>> {
    const began = this.#clock.now();
    const request = this.#request(question);
    const response = await this.#head(request, leftMs, givenMs);
    this.#heardAt = this.#clock.now();
    const answer = await this.#body(request, response, leftMs - (this.#clock.now() - began), givenMs);
    const status = response.statusCode ?? 0;
    if (status < 200 || status > 299) throw apiError(status, answer, this.#asked(question));
    if (!isRecord(answer)) throw badAnswer(this.address, new Error("it is no JSON object"));
    return answer;
  }

  #asked({ verb, resource }: ApiQuestion) {
    return { verb, resource, namespace: this.namespace };
  }

  #request(question: ApiQuestion): ClientRequest {
    if (this.#closed)
      throw new WeftError("unavailable", "the line to Kubernetes is closed", { reason: "KUBERNETES_CLOSED" });
    const { verb, resource, name, query, body, metadataOnly = false } = question;
    const { host, port, basePath, tls } = this.#access;
    const writes = verb === "create" || verb === "update";
    // What the server does not know is refused, never dropped in silence.
    const all = new URLSearchParams({ ...query, ...(writes && { fieldValidation: "Strict" }) }).toString();
    const object = name === undefined ? "" : `/${name}`;
    const path = `${basePath}${collectionPath(resource, this.namespace)}${object}${all === "" ? "" : `?${all}`}`;
    const text =
      body === undefined
        ? null
        : Buffer.from(JSON.stringify({ apiVersion: apiVersionOf(resource), kind: resource.kind, ...body }));
    const token = this.#credentials.token();
    const headers: Record<string, string | number> = {
      accept: metadataOnly ? METADATA_ONLY[verb === "list" ? "list" : "one"] : "application/json",
      "user-agent": "weftmesh",
      ...(token !== null && { authorization: `Bearer ${token}` }),
      ...(text !== null && { "content-type": "application/json", "content-length": text.length }),
    };
    const method = METHODS[verb];
    // A watch has a connection for as long as it lasts.
    const agent = verb === "watch" ? false : this.#connections();
    const request =
      tls === null
        ? plainRequest({ host, port, path, method, headers, agent })
        : tlsRequest({ host, port, path, method, headers, agent, ...(agent === false && this.#credentials.tls()) });
    this.#open.add(request);
    request.on("error", ignore); // told by #head()
    request.end(text ?? undefined);
    return request;
  }

  #connections(): Agent | PlainAgent {
    if (this.#credentials.changed()) this.reconnect();
    if (this.#agent !== undefined) return this.#agent;
    const kept = { keepAlive: true, maxSockets: MAX_CONNECTIONS, scheduling: "lifo", timeout: IDLE_MS } as const;
    const { tls } = this.#access;
    this.#agent = tls === null ? new PlainAgent(kept) : new Agent({ ...kept, ...this.#credentials.tls() });
    return this.#agent;
  }

  #head(request: ClientRequest, leftMs: number, givenMs: number): Promise<IncomingMessage> {
    return new Promise((resolve, reject) => {
      let cancel: Cancel = ignore;
      let sent = false;
      const fail = (error: WeftError): void => {
        cancel();
        this.#open.delete(request);
        request.destroy();
        reject(error);
      };
      cancel = this.#clock.after(leftMs, () => fail(this.#slow(givenMs, !sent)));
      // Before a connection stands, nothing has been asked.
      const connected = (): void => void (sent = true);
      request.on("socket", (socket) => {
        socket.setNoDelay(true);
        if (!socket.connecting) sent = true;
        else socket.once(this.#access.tls === null ? "connect" : "secureConnect", connected);
      });
      request.on("error", (cause) => fail(this.#broken(cause, !sent)));
      request.on("close", () => fail(this.#broken(new Error("it was closed"), false)));
      request.on("response", (response) => {
        cancel();
        resolve(response);
      });
    });
  }

  #body(request: ClientRequest, response: IncomingMessage, leftMs: number, givenMs: number): Promise<unknown> {
    return new Promise((resolve, reject) => {
      const chunks: Buffer[] = [];
      let size = 0;
      let cancel: Cancel = ignore;
      const fail = (error: WeftError): void => {
        cancel();
        this.#open.delete(request);
        request.destroy();
        reject(error);
      };
      cancel = this.#clock.after(Math.max(1, leftMs), () => fail(this.#slow(givenMs)));
      response.on("data", (bytes: Buffer) => {
        chunks.push(bytes);
        size += bytes.length;
        if (size > MAX_ANSWER_BYTES)
          fail(badAnswer(this.address, new Error(`it is longer than ${MAX_ANSWER_BYTES} bytes`)));
      });
      response.on("error", (cause) => fail(this.#broken(cause)));
      response.on("close", () => fail(this.#broken(new Error("it was closed"))));
      response.on("end", () => {
        cancel();
        this.#open.delete(request);
        const text = Buffer.concat(chunks).toString("utf8");
        try {
          resolve(JSON.parse(text));
        } catch {
          resolve(null); // a proxy's page; the status says what it means
        }
      });
    });
  }

  #slow(givenMs: number, retryable = false): WeftError {
    const text = `Kubernetes at ${this.address} did not answer within ${Math.max(1, Math.round(givenMs))} ms`;
    return new WeftError("unavailable", text, { reason: SLOW, retryable });
  }

  #broken(cause: Error, retryable = false): WeftError {
    const { code = "" } = cause as NodeJS.ErrnoException;
    const certificate = /CERT|SIGNATURE|ALTNAME|ISSUER/.test(code);
    const why = certificate
      ? `its certificate is not believed (${code}); \`ca\` names the file of the authorities`
      : code || cause.message;
    const text = `Kubernetes at ${this.address} is not reached: ${why}`;
    return new WeftError("unavailable", text, { reason: "KUBERNETES_AWAY", retryable });
  }

  #pause(ms: number): Promise<void> {
    return new Promise((resolve) => void this.#clock.after(ms, resolve));
  }
}

function badAnswer(address: string, cause: unknown): WeftError {
  const text = `what Kubernetes at ${address} answers cannot be used: ${(cause as Error).message}`;
  return new WeftError("internal", text, { reason: "BAD_ANSWER" });
}

function ignore(): void {}

const SLOW = "KUBERNETES_SLOW";
const METHODS = { get: "GET", list: "GET", watch: "GET", create: "POST", update: "PUT", delete: "DELETE" } as const;
const METADATA_ONLY = {
  list: "application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1",
  one: "application/json;as=PartialObjectMetadata;g=meta.k8s.io;v=v1",
} as const;
/** Of one thing that is asked, however often: less than who asks waits, so that it hears why. */
const CALL_MS = 4_500;
/** Until a watch has begun. */
const OPEN_MS = 2_500;
const BUSY_MS = 200;
/** A thousand endpoints may register at once; the API server takes only so many questions of one user, too. */
const MAX_CONNECTIONS = 64;
/** Less than what balancers before an API server let a connection be idle. */
const IDLE_MS = 30_000;
/** A page of ConfigMaps of a MiB each. */
const MAX_ANSWER_BYTES = 67_108_864;
/** An object of etcd's largest, as JSON. */
const MAX_LINE_BYTES = 8_388_608;
