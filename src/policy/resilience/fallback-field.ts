import { type Code, codeOf } from "../../core/errors.ts";
import { BACKEND_NAME, conditions, FIELD_VALUE } from "../resource/common-shapes.ts";
import { ConditionSet } from "../resource/conditions.ts";
import type { PolicyField } from "../resource/policy-field.ts";
import { anything, bool, number, object, oneOf, text } from "../resource/shape.ts";
import { NAMED_BREAKER } from "./breaker-field.ts";

/** What answers where a call would fail: a stale answer from the cache, then a stand-by service, then a fixed answer; whichever of them are written. */
export interface FallbackSpec {
  /** 200 to 599, default 200. */
  readonly status?: number;
  /** Default "application/json", or "text/plain; charset=utf-8" when the body is a string. */
  readonly contentType?: string;
  /** A string is sent as it is, anything else as JSON. Default: empty. */
  readonly body?: unknown;
  /** For gRPC callers that are passed through, who have no use for JSON. Without it they get the failure. */
  readonly grpc?: FallbackGrpcSpec;
  /** True: an answer that the cache holds is given though it is too old (needs a cache policy). */
  readonly stale?: boolean;
  /** One attempt at this service ("products-standby", "products@v1") with its own policy, not counted as a retry. */
  readonly service?: string;
  /** When it answers; see conditions.ts. Default: whatever would otherwise fail with a 5xx, a time-out or an open breaker. */
  readonly on?: readonly string[];
}

export interface FallbackGrpcSpec {
  /** A code's name. Default "ok" with a body, otherwise "unavailable". */
  readonly status?: string;
  readonly message?: string;
  /** An encoded message, base64. */
  readonly body?: string;
}

export interface FallbackSettings {
  /** Null: there is no fixed answer. */
  readonly fixed: FixedAnswer | null;
  readonly stale: boolean;
  /** "" for none. */
  readonly service: string;
  readonly on: ConditionSet;
}

export interface FixedAnswer {
  readonly status: number;
  readonly fields: readonly string[];
  readonly body: Uint8Array;
  /** There is something to give to callers that read HTTP, or typed clients. */
  readonly forHttp: boolean;
  readonly grpc: FixedGrpcAnswer | null;
}

export interface FixedGrpcAnswer {
  readonly code: Code | "ok";
  readonly message: string;
  /** Framed; null for none. */
  readonly body: Uint8Array | null;
}

/** When a fallback answers that does not say when. */
const FALLBACK_ON: readonly string[] = [
  ...NAMED_BREAKER.on,
  "overflow",
  "breaker-open",
  "no-endpoint",
  "resource_exhausted",
];

const GRPC_CODES = ["ok", ...Array.from({ length: 16 }, (_, i) => codeOf(i + 1) as string)];

/** Taken whole; null when there is none. */
export const fallbackField: PolicyField<FallbackSpec, FallbackSettings | null> = {
  check: object(
    {
      status: number(200, 599, true),
      contentType: FIELD_VALUE,
      body: anything,
      grpc: object(
        {
          status: oneOf(GRPC_CODES),
          message: text("a message", /^[^\0]*$/, 1_024),
          body: text("an encoded message in base64", /^[A-Za-z0-9+/]*={0,2}$/, 1_048_576),
        },
        [],
        (value, path, report) => {
          const { status, body } = value as FallbackGrpcSpec;
          if (body !== undefined && status !== undefined && status !== "ok")
            report([...path, "body"], `goes with status "ok" only, not with "${status}"`);
          if (body === undefined && status === "ok")
            report([...path, "body"], 'is missing: "ok" needs an encoded message (base64; "" is an empty one)');
        },
      ),
      stale: bool,
      service: BACKEND_NAME,
      on: conditions,
    },
    [],
    (value, path, report) => {
      if ((value as FallbackSpec).stale === false) report([...path, "stale"], "must be true, or absent");
    },
  ),
  over: (_under, spec) => spec,
  compile(spec) {
    if (spec === null) return null;
    const { stale = false, service = "", on = FALLBACK_ON } = spec;
    return { fixed: fixedAnswer(spec), stale, service, on: new ConditionSet(on) };
  },
};

function fixedAnswer(spec: FallbackSpec): FixedAnswer | null {
  const { status, contentType, body, grpc, stale, service } = spec;
  const written = status !== undefined || contentType !== undefined || body !== undefined;
  if (!written && grpc === undefined && (stale !== undefined || service !== undefined)) return null;
  const content = body === undefined ? "" : typeof body === "string" ? body : JSON.stringify(body);
  const type = contentType ?? (typeof body === "string" ? "text/plain; charset=utf-8" : "application/json");
  return {
    status: status ?? 200,
    fields: content === "" ? [] : ["content-type", type],
    body: new TextEncoder().encode(content),
    forHttp: written || grpc === undefined,
    grpc: grpc === undefined ? null : grpcAnswer(grpc),
  };
}

function grpcAnswer({ status, message = "", body }: FallbackGrpcSpec): FixedGrpcAnswer {
  const code = (status ?? (body === undefined ? "unavailable" : "ok")) as FixedGrpcAnswer["code"];
  return { code, message, body: body === undefined ? null : framed(Buffer.from(body, "base64")) };
}

/** gRPC's length-prefixed message, not compressed. */
function framed(message: Uint8Array): Uint8Array {
  const bytes = new Uint8Array(5 + message.length);
  new DataView(bytes.buffer).setUint32(1, message.length);
  bytes.set(message, 5);
  return bytes;
}
