import {
  type CheckResponse,
  Authorization as Service,
} from "../../contract/gen/envoy/service/auth/v3/external_auth.ts";
import type { Clock } from "../../core/clock.ts";
import type { ExternalAnswer, ExternalQuestion } from "../../policy/security/questions.ts";
import { createDirectClient, type DirectClient } from "../direct.ts";

/** Asks an envoy.service.auth.v3.Authorization, with what Envoy's ext_authz filter would tell it of an HTTP request without its body. */
export class ExternalGrpc {
  readonly #clock: Clock;
  readonly #clients = new Map<string, DirectClient<typeof Service>>();

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /** Null: it failed, or took too long. */
  async ask(question: ExternalQuestion): Promise<ExternalAnswer | null> {
    const { address = "", tls = false } = question.external.grpc ?? {};
    try {
      const answer = await this.#client(address, tls).check(
        { attributes: this.#attributes(question) },
        { timeoutMs: question.timeoutMs },
      );
      return answerOf(answer);
    } catch {
      return null;
    }
  }

  async close(): Promise<void> {
    await Promise.all(Array.from(this.#clients.values(), (client) => client.close()));
    this.#clients.clear();
  }

  #client(address: string, tls: boolean) {
    const key = `${tls} ${address}`;
    let direct = this.#clients.get(key);
    if (direct === undefined) {
      direct = createDirectClient(Service, address, { protocol: tls ? "h2" : "h2c", pool: { background: true } });
      this.#clients.set(key, direct);
    }
    return direct.client;
  }

  #attributes(question: ExternalQuestion) {
    const { peerAddress, peerIdentity, path, subject } = question;
    const headers: Record<string, string> = {};
    for (let i = 0; i < question.fields.length; i += 2) {
      const name = question.fields[i];
      const known = headers[name];
      headers[name] = known === undefined ? question.fields[i + 1] : `${known},${question.fields[i + 1]}`;
    }
    headers[":method"] = question.method;
    headers[":path"] = path;
    headers[":authority"] = question.host;
    headers[":scheme"] = question.scheme;
    const contextExtensions: Record<string, string> = {};
    if (subject !== "") contextExtensions.subject = subject;
    const colon = peerAddress.lastIndexOf(":");
    const mark = path.indexOf("?");
    const wallMs = this.#clock.wallMs();
    return {
      source: {
        principal: peerIdentity,
        address: {
          address: {
            case: "socketAddress" as const,
            value: {
              address: peerAddress.slice(0, Math.max(0, colon)).replace(/^\[|\]$/g, ""),
              portSpecifier: { case: "portValue" as const, value: Number(peerAddress.slice(colon + 1)) || 0 },
            },
          },
        },
      },
      destination: { service: question.service },
      request: {
        time: { seconds: BigInt(Math.floor(wallMs / 1000)), nanos: (wallMs % 1000) * 1_000_000 },
        http: {
          id: question.requestId,
          method: question.method,
          headers,
          path,
          host: question.host,
          scheme: question.scheme,
          query: mark < 0 ? "" : path.slice(mark + 1),
          size: -1n,
        },
      },
      contextExtensions,
    };
  }
}

function answerOf({ status, httpResponse }: CheckResponse): ExternalAnswer {
  const allowed = (status?.code ?? 0) === 0;
  const denied = httpResponse.case === "deniedResponse" ? httpResponse.value : null;
  const ok = httpResponse.case === "okResponse" ? httpResponse.value : null;
  const fields: string[] = [];
  for (const { header } of (allowed ? ok?.headers : denied?.headers) ?? []) {
    if (header === undefined) continue;
    const value = header.rawValue.length > 0 ? Buffer.from(header.rawValue).toString("latin1") : header.value;
    if (FIELD_NAME.test(header.key) && FIELD_VALUE.test(value)) fields.push(header.key.toLowerCase(), value);
  }
  const code = denied?.status?.code ?? 0;
  return {
    allowed,
    status: code >= 200 && code <= 599 ? code : 403,
    fields,
    removeFields: ok?.headersToRemove.map((name) => name.toLowerCase()) ?? [],
    body: denied === null || denied.body === "" ? null : Buffer.from(denied.body),
    message: allowed ? "" : (status?.message ?? ""),
  };
}

const FIELD_NAME = /^[!#$%&'*+\-.^_`|~0-9A-Za-z]+$/;
const FIELD_VALUE = /^[\x20-\x7e\x80-\xff\t]*$/;
