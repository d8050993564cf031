import { connect as connectTcp, isIP, type Socket } from "node:net";
import type { ConnectionOptions, TLSSocket } from "node:tls";
import type { Endpoint } from "../core/endpoint.ts";
import type { IdentitySource } from "../core/identity.ts";
import { type ReadCallback, readByEvents } from "./accept.ts";
import { readBuffer } from "./loop.ts";
import { BYTES_ALPN, meshContext, meshRefusal } from "./mesh-tls.ts";
import { formatAddress } from "./peer.ts";
import { tlsModule } from "./tls-module.ts";
import type { UpstreamPoolOptions } from "./types.ts";

/**
 * Connects to an endpoint: TCP, and TLS on it when the endpoint speaks "h2", or has an identity and so do we: then mutual TLS, and the endpoint must prove
 * exactly its identity. Exactly one of `onReady` and `onFailed` is called, later;
 * after onReady the socket's errors and end are the new owner's. The returned function gives up (neither is called any more).
 */
export function dial(
  endpoint: Endpoint,
  options: UpstreamPoolOptions,
  timeoutMs: number,
  target: DialTarget,
): () => void {
  const { identity } = options;
  if (options.isOwn?.(endpoint.host, endpoint.port) === true) {
    const cause = "there this process takes the calls that it makes: they would go in a circle";
    const failing = setImmediate(() => target.onFailed(`${endpoint.id} is not called: ${cause}`));
    return () => clearImmediate(failing);
  }
  const mode = options.mutualTls?.(endpoint.service) ?? "permissive";
  const mesh = identity !== undefined && endpoint.identity !== undefined && mode !== "off";
  if (mode === "strict" && !mesh) {
    const [who, whose] = identity === undefined ? ["this process", "it"] : ["this endpoint of it", "its process"];
    const cause = `${endpoint.service} takes mutual TLS alone (mtls: strict), and ${who} has no identity: start ${whose} with a join token (WEFT_JOIN_TOKEN), or set mtls: permissive`;
    const failing = setImmediate(() =>
      target.onFailed(`${endpoint.id} (${endpoint.host}:${endpoint.port}) is not called: ${cause}`),
    );
    return () => clearImmediate(failing);
  }
  if (mesh && identity.current.trust === "") {
    // Node would take the machine's public authorities in place of none.
    const cause = `it is not known yet which authority may sign for ${endpoint.identity}`;
    const failing = setImmediate(() => target.onFailed(`${endpoint.id} is not called: ${cause}`));
    return () => clearImmediate(failing);
  }
  const secure = mesh || endpoint.protocol === "h2";
  let read: ReadCallback | null = null;
  const host = endpoint.host.replace(/^\[(.*)\]$/, "$1");
  const onread = {
    buffer: readBuffer,
    callback: (bytes: number, chunk: Uint8Array) => read === null || read(chunk, 0, bytes),
  };
  const socket: Socket = mesh
    ? tlsModule().connect({ ...meshDial(identity, endpoint), host, port: endpoint.port, onread } as ConnectionOptions)
    : secure
      ? connectTls(host, endpoint.port, options.tls ?? {})
      : connectTcp({ host, port: endpoint.port, allowHalfOpen: true, noDelay: true, onread });
  if (secure) socket.setNoDelay(true);

  let done = false;
  const settle = (): boolean => {
    if (done) return false;
    done = true;
    clearTimeout(timer);
    socket.off("error", onError);
    socket.off("close", onClose);
    return true;
  };
  const fail = (cause: string): void => {
    if (!settle()) return;
    socket.on("error", ignore);
    socket.destroy();
    target.onFailed(`cannot connect to ${formatAddress(host, endpoint.port)}: ${cause}`);
  };
  const onError = (error: Error): void => fail(mesh ? explainMesh(error, endpoint) : explain(error));
  const onClose = (): void => fail("closed while connecting");
  const timer = setTimeout(() => fail(`no connection within ${timeoutMs} ms`), timeoutMs);
  timer.unref();
  socket.on("error", onError);
  socket.on("close", onClose);
  socket.once(secure ? "secureConnect" : "connect", () => {
    const refusal = mesh ? meshRefusal(socket as TLSSocket, identity.id, endpoint.identity ?? "") : null;
    if (refusal !== null) return fail(refusal);
    if (!settle()) return;
    const alpn = secure ? (socket as TLSSocket).alpnProtocol : false;
    const http2 = alpn === false ? endpoint.protocol === "h2c" : alpn === "h2";
    const callback = target.onReady(socket, http2);
    if (secure && !mesh) readByEvents(socket, callback);
    else read = callback;
  });
  return () => {
    if (!settle()) return;
    socket.on("error", ignore);
    socket.destroy();
  };
}

export interface DialTarget {
  /** Connected (and handshaken); `http2` says which machine to give it. Returns where its bytes go. */
  onReady(socket: Socket, http2: boolean): ReadCallback;
  /** `message` names the address and the cause. */
  onFailed(message: string): void;
}

function connectTls(host: string, port: number, tls: NonNullable<UpstreamPoolOptions["tls"]>): Socket {
  return tlsModule().connect({
    host,
    port,
    ALPNProtocols: ["h2", "http/1.1"],
    ca: bufferOf(tls.ca),
    cert: bufferOf(tls.cert),
    key: bufferOf(tls.key),
    servername: tls.serverName ?? (isIP(host) === 0 ? host : ""),
  });
}

/** What is dialled with is what holds now: the next dial follows a rotation, and open connections stay. */
function meshDial(identity: IdentitySource, { protocol }: Endpoint): ConnectionOptions {
  return {
    secureContext: meshContext(identity.current),
    ALPNProtocols: [protocol === "tcp" ? BYTES_ALPN : protocol === "http1" ? "http/1.1" : "h2"],
    rejectUnauthorized: false, // judged by meshRefusal()
    checkServerIdentity: () => undefined,
    servername: "",
    allowHalfOpen: true,
  } as ConnectionOptions;
}

function ignore(): void {}

/** Node reports several addresses that failed as one AggregateError with an empty message. */
function explain(error: Error): string {
  if (error instanceof AggregateError) return error.errors.map((each) => explain(each)).join("; ");
  const code = (error as NodeJS.ErrnoException).code;
  const words = code === undefined ? undefined : WORDS[code];
  return words === undefined ? error.message : `${words} (${code})`;
}

function explainMesh(error: Error, { identity }: Endpoint): string {
  if ((error as NodeJS.ErrnoException).code === "ERR_SSL_WRONG_VERSION_NUMBER")
    return `it does not speak TLS, expected was ${identity} over mutual TLS`;
  return `${explain(error)}; expected was ${identity} over mutual TLS`;
}

const WORDS: Readonly<Record<string, string>> = {
  ECONNREFUSED: "connection refused: nothing listens there",
  ECONNRESET: "reset by the peer while connecting",
  EHOSTUNREACH: "host unreachable",
  ENETUNREACH: "network unreachable",
  ENOTFOUND: "host name not found",
  ETIMEDOUT: "no answer from the host",
};

function bufferOf(bytes: string | Uint8Array | undefined): string | Buffer | undefined {
  return bytes === undefined || typeof bytes === "string" ? bytes : Buffer.from(bytes);
}
