import { codecOf } from "../contract/codec.ts";
import { type ContractMethod, type ContractSet, parseContractSet } from "../contract/contract-set.ts";
import type { HttpBinding } from "../contract/http-rule.ts";
import { createRestRouter, type RestRoute, type RestRouter } from "../contract/rest-router.ts";
import { splitPath } from "../contract/transcode.ts";
import type { Codec } from "../contract/types.ts";
import { toWeftError, WeftError } from "../core/errors.ts";
import type { ServiceContract } from "../link/types.ts";
import { normalPath } from "../policy/route/normal-path.ts";
import type { PolicyRuntime } from "../policy/runtime.ts";
import { Head } from "../wire/head.ts";

/** REST as the registered services' contracts describe it. Replaced as a whole when contracts change. */
export interface Rest {
  /** Changes whenever what find() answers may have changed: contracts or routes. */
  readonly generation: number;
  /** Everything registered, for reflection. */
  readonly contracts: readonly ContractSet[];
  setContracts(contracts: readonly ServiceContract[]): void;
  /**
   * The call that a REST request stands for; an error when the path is known but not with this HTTP method, or wrongly encoded; null when no contract
   * describes it or an explicit route takes it to another service.
   */
  find(head: Head): RestCall | WeftError | null;
}

/** A REST request as a gRPC call, but for its body. */
export interface RestCall {
  /** Registry name of the service whose contract says so. */
  readonly service: string;
  readonly method: ContractMethod;
  readonly binding: HttpBinding;
  readonly variables: readonly string[];
  readonly query: string;
  readonly input: Codec;
  readonly output: Codec;
  /** The gRPC request's head: the caller's fields travel as metadata, those that describe the HTTP body do not. */
  readonly head: Head;
}

interface Target {
  readonly service: string;
  readonly method: ContractMethod;
}

/**
 * @param onProblem told of a contract that cannot be used; what is wrong with one service's leaves the others in use
 */
export function createRest(policy: PolicyRuntime, onProblem: (error: WeftError) => void): Rest {
  let router: RestRouter<Target> = createRestRouter<Target>([]);
  let sets: readonly ContractSet[] = [];
  let replaced = 0;

  return {
    get generation() {
      return replaced * 0x1_0000_0000 + policy.revision;
    },
    get contracts() {
      return sets;
    },
    setContracts(contracts) {
      let routes: RestRoute<Target>[] = [];
      const parsed: ContractSet[] = [];
      router = createRestRouter(routes);
      for (const { service, contracts: names, descriptors } of contracts) {
        try {
          const set = parseContractSet(descriptors, names);
          const more = [...set.methods.values()].flatMap((method) =>
            method.bindings.map((binding) => ({ binding, target: { service, method } })),
          );
          router = createRestRouter([...routes, ...more]);
          routes = [...routes, ...more];
          parsed.push(set);
        } catch (thrown) {
          const error = toWeftError(thrown);
          onProblem(
            new WeftError(
              error.code,
              `the contract of service ${service} is left out at the gateway: ${error.message}`,
              { reason: error.reason, cause: thrown },
            ),
          );
        }
      }
      sets = parsed;
      replaced++;
    },
    find(head) {
      const { path, query } = splitPath(head.path);
      try {
        // In the form that policy's rules see, or "/v1/admin/x/../../public" would be one path to them and another to the router.
        const match = router.match(head.method, normalPath(path));
        if (match.kind === "not-found") return null;
        const backends = policy.backendsOf(head);
        if (match.kind === "method-not-allowed")
          return backends.length > 0 || head.method === "OPTIONS" ? null : methodNotAllowed(head, match.allow);
        const { binding, target } = match.route;
        if (backends.length > 0 && !backends.includes(target.service)) return null;
        return {
          service: target.service,
          method: target.method,
          binding,
          variables: match.variables,
          query,
          input: codecOf(target.method.desc.input),
          output: codecOf(target.method.desc.output),
          head: new Head("POST", head.scheme, head.authority, target.method.path, "", 0, metadataOf(head.fields)),
        };
      } catch (thrown) {
        return toWeftError(thrown);
      }
    },
  };
}

function methodNotAllowed(head: Head, allow: string): WeftError {
  return new WeftError("unimplemented", `${head.method} is not served at ${splitPath(head.path).path}; ${allow} are`, {
    reason: "METHOD_NOT_ALLOWED",
    metadata: [["allow", allow]],
  });
}

/** The caller's fields that mean something to a gRPC service. */
function metadataOf(fields: readonly string[]): string[] {
  const metadata = ["content-type", "application/grpc", "te", "trailers"];
  for (let i = 0; i < fields.length; i += 2) if (!OF_THE_BODY.test(fields[i])) metadata.push(fields[i], fields[i + 1]);
  return metadata;
}

/** Fields about the HTTP body and its negotiation, and gRPC's own, which a REST caller has no say in. */
const OF_THE_BODY = /^(content-.*|accept|accept-.*|te|trailer|expect|if-.*|range|grpc-.*)$/;
