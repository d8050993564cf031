import type { DescService, Message } from "@bufbuild/protobuf";
import { type ContractMethod, contractMethods } from "../contract/contract-set.ts";
import type { HttpBinding } from "../contract/http-rule.ts";
import { createRestRouter, type RestRoute, type RestRouter } from "../contract/rest-router.ts";
import { messageToResponse, requestToMessage, splitPath } from "../contract/transcode.ts";
import { toWeftError } from "../core/errors.ts";
import type { PolicyRuntime } from "../policy/runtime.ts";
import { EMPTY } from "./answer.ts";
import { recordOf } from "./fields.ts";
import type { SimRequest } from "./request.ts";

/** REST requests as the gRPC calls that the services' contracts make of them, as the gateway does it. */
export class Transcoder {
  #router: RestRouter<Target> = createRestRouter<Target>([]);

  /** A contract that takes requests of one before it is left out, as at the gateway. */
  constructor(contracts: readonly (readonly [service: string, desc: DescService])[]) {
    let routes: RestRoute<Target>[] = [];
    for (const [service, desc] of contracts) {
      const more = contractMethods(desc).flatMap((method) =>
        method.bindings.map((binding) => ({ binding, target: { service, method } })),
      );
      try {
        this.#router = createRestRouter([...routes, ...more]);
        routes = [...routes, ...more];
      } catch (thrown) {
        if (toWeftError(thrown).reason !== "HTTP_CONFLICT") throw thrown;
      }
    }
  }

  /** The request itself when no contract describes it, or when a route takes it elsewhere. */
  transcode(request: SimRequest, policy: PolicyRuntime): TranscodedRequest | SimRequest {
    if (request.grpc || request.service !== "") return request;
    const { head, body } = request;
    const { path, query } = splitPath(head.path);
    const match = this.#router.match(head.method, path);
    if (match.kind !== "found") return request;
    const { binding, target } = match.route;
    const backends = policy.backendsOf(head);
    if (backends.length > 0 && !backends.includes(target.service)) return request;
    const type = recordOf(head.fields)["content-type"] ?? (body.length > 0 ? "application/json" : "");
    const message = requestToMessage(binding, match.variables, query, body, type);
    const fields = ["content-type", "application/grpc", "te", "trailers"];
    for (let i = 0; i < head.fields.length; i += 2)
      if (!OF_THE_BODY.test(head.fields[i])) fields.push(head.fields[i], head.fields[i + 1]);
    const turned = { ...head, method: "POST", path: target.method.path, fields, memo: null };
    return {
      ...request,
      head: turned,
      asSent: head,
      grpc: true,
      body: EMPTY,
      message,
      service: target.service,
      binding,
    };
  }
}

interface Target {
  readonly service: string;
  readonly method: ContractMethod;
}

export interface TranscodedRequest extends SimRequest {
  readonly binding: HttpBinding;
}

/** The answer's body as the REST caller gets it. */
export function restBody(request: SimRequest, message: object): Uint8Array {
  return messageToResponse((request as TranscodedRequest).binding, message as Message).body;
}

const OF_THE_BODY = /^(content-.*|accept|accept-.*|te|trailer|expect|if-.*|range|grpc-.*)$/;
