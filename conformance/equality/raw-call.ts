import { request } from "node:http";
import { type ClientHttp2Session, connect, type IncomingHttpHeaders } from "node:http2";
import { errorFromTrailers } from "../../src/contract/status.ts";
import { ID_FIELD } from "./backends.ts";
import { bodyOf, messageOf } from "./bodies.ts";
import { comparedHeaders } from "./headers.ts";
import type { Answer, EqualityRequest } from "./model.ts";
import { sentHeaders } from "./tokens.ts";

/** The method that answers with any number of messages. */
export const STREAMED = "Download";
export const TRIAL = "weft.test.v1.Trial";

/** A caller over Node's own HTTP clients: HTTP/1.1 for HTTP, HTTP/2 for gRPC. Calls nobody answers within 8 s count as broken. */
export class RawCaller {
  readonly #port: number;
  #session: ClientHttp2Session | null = null;

  constructor(port: number) {
    this.#port = port;
  }

  call(asked: EqualityRequest, id: string): Promise<Answer> {
    return asked.kind === "http" ? this.#http(asked, id) : this.#grpc(asked, id);
  }

  /** The next call is made on a new connection. */
  reset(): void {
    this.#session?.destroy();
    this.#session = null;
  }

  close(): void {
    this.reset();
  }

  #http(asked: EqualityRequest, id: string): Promise<Answer> {
    const { method, path, host, body: bytes = 0 } = asked;
    return new Promise((resolve) => {
      const fields = [["host", host], [ID_FIELD, id], ...sentHeaders(asked)].flat();
      if (bytes > 0) fields.push("content-length", String(bytes));
      let answer: Answer = BROKEN;
      const sent = request(
        { host: "127.0.0.1", port: this.#port, method, path, headers: fields, agent: false, timeout: CALL_MS },
        (response) => {
          let body = "";
          response.setEncoding("utf8").on("data", (text) => (body += text));
          response.on("error", () => {});
          response.on("close", () => {
            answer = {
              status: response.statusCode ?? 0,
              grpcStatus: -1,
              reason: reasonOf(body),
              broken: !response.complete,
              headers: comparedHeaders(response.headersDistinct),
              body,
            };
          });
        },
      );
      sent.on("timeout", () => sent.destroy());
      sent.on("error", () => {});
      sent.on("close", () => resolve(answer));
      sent.end(bytes > 0 ? bodyOf(bytes) : undefined);
    });
  }

  #grpc(asked: EqualityRequest, id: string): Promise<Answer> {
    const { method, host, body: bytes = 0 } = asked;
    return new Promise((resolve) => {
      let session = this.#session;
      if (session === null || session.closed || session.destroyed) {
        session = this.#session = connect(`http://127.0.0.1:${this.#port}`);
        session.on("error", () => {});
      }
      const stream = session.request({
        ":method": "POST",
        ":path": `/${TRIAL}/${method}`,
        ":authority": host,
        "content-type": "application/grpc",
        te: "trailers",
        [ID_FIELD]: id,
        ...Object.fromEntries(sentHeaders(asked)),
      });
      let head: IncomingHttpHeaders = {};
      let tail: IncomingHttpHeaders = {};
      let body = Buffer.alloc(0);
      let ended = false;
      const late = setTimeout(() => stream.close(CANCEL), CALL_MS);
      stream.on("response", (fields) => (head = fields));
      stream.on("trailers", (fields) => (tail = fields));
      stream.on("data", (chunk: Buffer) => (body = Buffer.concat([body, chunk])));
      stream.on("end", () => (ended = true));
      stream.on("error", () => {});
      stream.on("close", () => {
        clearTimeout(late);
        const all = tail["grpc-status"] === undefined ? head : tail;
        const said = all["grpc-status"];
        resolve({
          status: Number(head[":status"] ?? 0),
          grpcStatus: said === undefined ? -1 : Number(said),
          reason: grpcReason(all),
          broken: !ended || stream.rstCode !== 0,
          headers: comparedHeaders(head as Record<string, unknown>),
          body: method === STREAMED ? told(body) : body.subarray(7).toString(),
        });
      });
      stream.end(messageOf(method === STREAMED ? 0 : bytes));
    });
  }
}

const BROKEN: Answer = { status: 0, grpcStatus: -1, reason: "", broken: true, headers: {}, body: "" };
/** Longer than any policy lets a call last. */
export const CALL_MS = 8_000;
/** RFC 9113 section 7. */
const CANCEL = 8;

/** The messages of a stream as one text. */
function told(body: Buffer): string {
  const texts: string[] = [];
  for (let at = 0; at + 5 <= body.length; at += 5 + body.readUInt32BE(at + 1))
    texts.push(body.subarray(at + 7, at + 5 + body.readUInt32BE(at + 1)).toString());
  return toldTexts(texts);
}

export function toldTexts(texts: readonly string[]): string {
  return texts.length === 0 ? "" : `${texts.length} x ${[...new Set(texts)].join()}`;
}

/** Of application/problem+json as weft writes it. */
function reasonOf(body: string): string {
  if (!body.startsWith("{")) return "";
  try {
    const { reason } = JSON.parse(body) as { reason?: unknown };
    return typeof reason === "string" ? reason : "";
  } catch {
    return "";
  }
}

function grpcReason(fields: IncomingHttpHeaders): string {
  if (fields["grpc-status"] === undefined) return "";
  const flat = Object.entries(fields).flatMap(([name, value]) => (typeof value === "string" ? [name, value] : []));
  return errorFromTrailers(flat)?.reason ?? "";
}
