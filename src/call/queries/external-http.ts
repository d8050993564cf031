import { Agent, type IncomingMessage, request as requestHttp } from "node:http";
import { request as requestHttps, Agent as SecureAgent } from "node:https";
import type { ExternalAnswer, ExternalQuestion } from "../../policy/security/questions.ts";

/**
 * Asks a service over HTTP as Envoy's ext_authz filter does: the original method and path (behind the address's own), the Host, and the chosen fields. 2xx allows; 5xx is
 * a failure, not an answer; whatever else denies. Besides, x-forwarded-method, -host, -uri, -for and -proto, as forward-auth services expect them.
 */
export class ExternalHttp {
  readonly #agent = new Agent({ keepAlive: true, maxSockets: 64, timeout: 60_000 });
  readonly #secureAgent = new SecureAgent({ keepAlive: true, maxSockets: 64, timeout: 60_000 });

  /** Null: it failed, or took too long. */
  ask(question: ExternalQuestion): Promise<ExternalAnswer | null> {
    const base = new URL(question.external.http?.url ?? "");
    const secure = base.protocol === "https:";
    const options = {
      // A WebSocket over HTTP/2 is asked about like one over HTTP/1.1: node:http has no answer to CONNECT.
      method: question.method === "CONNECT" ? "GET" : question.method,
      path: base.pathname.replace(/\/$/, "") + question.path,
      host: base.hostname.replace(/^\[|\]$/g, ""),
      port: base.port || (secure ? 443 : 80),
      headers: headersOf(question),
      agent: secure ? this.#secureAgent : this.#agent,
      signal: AbortSignal.timeout(question.timeoutMs), // also of an answer that trickles
      ...(secure ? { servername: base.hostname } : {}),
    };
    return new Promise((resolve) => {
      const fail = (): void => resolve(null);
      try {
        const request = (secure ? requestHttps : requestHttp)(options, (response) => {
          readAnswer(response).then(resolve, fail);
        });
        request.on("error", fail);
        request.on("timeout", () => request.destroy());
        request.end();
      } catch {
        fail(); // a method or field that node:http does not take
      }
    });
  }

  close(): void {
    this.#agent.destroy();
    this.#secureAgent.destroy();
  }
}

function headersOf(question: ExternalQuestion): Record<string, string | string[]> {
  const headers: Record<string, string[]> = Object.create(null);
  for (let i = 0; i < question.fields.length; i += 2) (headers[question.fields[i]] ??= []).push(question.fields[i + 1]);
  const joined = Object.entries(headers).map(([name, values]) => [
    name,
    name === "cookie" ? values.join("; ") : values,
  ]);
  const { peerAddress, peerIdentity, subject } = question;
  return {
    ...Object.fromEntries(joined),
    host: question.host,
    "content-length": "0",
    "x-request-id": question.requestId,
    "x-forwarded-method": question.method,
    "x-forwarded-host": question.host,
    "x-forwarded-uri": question.path,
    "x-forwarded-proto": question.scheme,
    "x-forwarded-for": peerAddress.replace(/:\d+$/, "").replace(/^\[|\]$/g, ""),
    ...(peerIdentity === "" ? {} : { "x-weft-peer": peerIdentity }),
    ...(subject === "" ? {} : { "x-weft-subject": encodeURIComponent(subject.toWellFormed()) }),
  };
}

async function readAnswer(response: IncomingMessage): Promise<ExternalAnswer | null> {
  const status = response.statusCode ?? 0;
  const fields: string[] = [];
  for (let i = 0; i < response.rawHeaders.length; i += 2) {
    fields.push(response.rawHeaders[i].toLowerCase(), response.rawHeaders[i + 1]);
  }
  const allowed = status >= 200 && status < 300;
  const chunks: Buffer[] = [];
  let bytes = 0;
  for await (const chunk of response as AsyncIterable<Buffer>) {
    bytes += chunk.length;
    if (bytes > MAX_BODY) {
      response.destroy();
      return null;
    }
    if (!allowed) chunks.push(chunk);
  }
  if (status < 200 || status >= 500) return null;
  return { allowed, status, fields, removeFields: [], body: allowed ? null : Buffer.concat(chunks), message: "" };
}

const MAX_BODY = 65_536;
