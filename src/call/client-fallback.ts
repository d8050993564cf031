import {
  create,
  type DescMethod,
  type DescMethodUnary,
  type DescService,
  type MessageInitShape,
} from "@bufbuild/protobuf";
import { type Code, WeftError } from "../core/errors.ts";

/**
 * Functions that answer in place of a service that cannot, by method; of unary methods.
 *
 *     connect(Counter, { fallback: { count: (request, error) => ({ count: lastKnown }) } })
 *     connect(Counter, { fallback: { count: { on: ["unavailable"], answer: (request) => ({ count: lastKnown }) } } })
 *
 * Asked when the call has failed after everything that policy does, its own fallbacks included.
 */
export type ClientFallbacks<S extends DescService> = {
  readonly [M in keyof S["method"]]?: S["method"][M] extends DescMethodUnary<infer I, infer O>
    ? FallbackOf<MessageInitShape<I>, MessageInitShape<O>>
    : never;
};

export type FallbackOf<Request, Response> =
  | FallbackFunction<Request, Response>
  | { readonly on?: readonly Code[]; readonly answer: FallbackFunction<Request, Response> };
export type FallbackFunction<Request, Response> = (request: Request, error: WeftError) => Response | Promise<Response>;

/** For which failures a function is asked that does not say. Not for what is the caller's own fault, or wish. */
const FALLBACK_CODES: readonly Code[] = [
  "unavailable",
  "deadline_exceeded",
  "resource_exhausted",
  "unknown",
  "internal",
  "data_loss",
];

/** One method's, ready to be asked. */
export class ClientFallback {
  readonly #method: DescMethod;
  readonly #on: ReadonlySet<Code>;
  readonly #answer: FallbackFunction<object, object>;

  constructor(method: DescMethod, on: readonly Code[], answer: FallbackFunction<object, object>) {
    this.#method = method;
    this.#on = new Set(on);
    this.#answer = answer;
  }

  answers(error: WeftError): boolean {
    return this.#on.has(error.code);
  }

  /** The response; rejects when the function does. */
  async answer(request: object, error: WeftError): Promise<object> {
    const { output, parent, name } = this.#method;
    try {
      return create(output, (await this.#answer(request, error)) as never);
    } catch (cause) {
      const why = cause instanceof Error ? cause.message : String(cause);
      throw new WeftError(
        error.code,
        `${error.message}; and the fallback of ${parent.typeName}/${name} failed: ${why}`,
        {
          reason: "FALLBACK_FAILED",
          cause,
        },
      );
    }
  }
}

/** The fallbacks of a client, by the local names of its methods. Throws `invalid_argument` for one that cannot be. */
export function readFallbacks(desc: DescService, written: object | undefined): ReadonlyMap<string, ClientFallback> {
  const fallbacks = new Map<string, ClientFallback>();
  for (const [name, value] of Object.entries(written ?? {})) {
    if (value === undefined) continue;
    const method = desc.methods.find(({ localName }) => localName === name);
    if (method?.methodKind !== "unary") {
      const what = method === undefined ? `${desc.typeName} has no method ${name}` : `${name} is a stream`;
      throw new WeftError("invalid_argument", `fallback.${name}: ${what}; fallbacks are for unary methods`, {
        reason: "BAD_FALLBACK",
      });
    }
    const { on = FALLBACK_CODES, answer } = typeof value === "function" ? { answer: value } : value;
    fallbacks.set(name, new ClientFallback(method, on, answer));
  }
  return fallbacks;
}
