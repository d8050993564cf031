import type { DescService } from "@bufbuild/protobuf";
import { WeftError } from "../core/errors.ts";
import type { Implementation } from "./implementation.ts";
import type { ServerInterceptor } from "./interceptor.ts";
import { createTestClient, type TestClient } from "./test-client.ts";

/**
 * A service: its contract and what implements it. A plain value without sockets; `serve` puts it on a port, `call` calls its handlers
 * in this process, through the same interceptors and codec checks as a call from the network.
 */
export interface ServiceDefinition<S extends DescService = DescService> {
  readonly desc: S;
  readonly implementation: Implementation<S>;
  readonly options: ResolvedServiceOptions;
  /** Calls the handlers in this process: `await counter.call.count({ count: 1n })`. */
  readonly call: TestClient<S>;
}

export interface ServiceOptions {
  /** Around every call, the first outermost. Default none. */
  interceptors?: readonly ServerInterceptor[];
  /** Largest request message, after decompression. Over it: `resource_exhausted` (REST: 413). Default 4 MiB, as gRPC's. */
  maxRequestBytes?: number;
  /** Largest response message. Over it: `resource_exhausted`. Default 64 MiB. */
  maxResponseBytes?: number;
  /** Deadline of calls whose caller set none, ms. Default none. */
  defaultTimeoutMs?: number;
}

export type ResolvedServiceOptions = Readonly<Required<ServiceOptions>>;

/** Any definition, whatever its service. */
// biome-ignore lint/suspicious/noExplicitAny: a list of definitions has a different contract in each place
export type AnyServiceDefinition = ServiceDefinition<any>;

/**
 * Defines a service. `implementation` has a handler a method; those that it leaves out answer `unimplemented`. A class instance serves as well
 * as a literal. Throws `invalid_argument` when it has a handler that is no function.
 */
export function service<S extends DescService>(
  desc: S,
  implementation: Implementation<S>,
  options: ServiceOptions = {},
): ServiceDefinition<S> {
  for (const method of desc.methods) {
    const handler: unknown = (implementation as Record<string, unknown>)[method.localName];
    if (handler !== undefined && typeof handler !== "function") {
      throw new WeftError(
        "invalid_argument",
        `service ${desc.typeName}: the handler of "${method.localName}" is ${describe(handler)}, not a function`,
        {
          reason: "BAD_HANDLER",
          place: { field: method.localName },
        },
      );
    }
  }
  if (Object.getPrototypeOf(implementation) === Object.prototype) {
    const known = new Set(desc.methods.map((method) => method.localName));
    for (const name of Object.keys(implementation)) {
      if (known.has(name)) continue;
      throw new WeftError(
        "invalid_argument",
        `service ${desc.typeName} has no method "${name}"; its methods are ${[...known].join(", ")}`,
        {
          reason: "UNKNOWN_METHOD",
          place: { field: name },
        },
      );
    }
  }
  let client: TestClient<S> | null = null;
  const definition: ServiceDefinition<S> = {
    desc,
    implementation,
    options: resolveOptions(desc, options),
    get call() {
      return (client ??= createTestClient(definition));
    },
  };
  return Object.freeze(definition);
}

function resolveOptions(desc: DescService, options: ServiceOptions): ResolvedServiceOptions {
  const resolved = {
    interceptors: [...(options.interceptors ?? [])],
    maxRequestBytes: options.maxRequestBytes ?? 4 * 1024 * 1024,
    maxResponseBytes: options.maxResponseBytes ?? 64 * 1024 * 1024,
    defaultTimeoutMs: options.defaultTimeoutMs ?? Number.POSITIVE_INFINITY,
  };
  for (const field of ["maxRequestBytes", "maxResponseBytes", "defaultTimeoutMs"] as const) {
    if (resolved[field] > 0) continue;
    throw new WeftError(
      "invalid_argument",
      `service ${desc.typeName}: ${field} must be above 0, not ${resolved[field]}`,
      {
        reason: "BAD_OPTION",
        place: { field },
      },
    );
  }
  return Object.freeze(resolved);
}

function describe(value: unknown): string {
  return value === null ? "null" : `a ${typeof value}`;
}
