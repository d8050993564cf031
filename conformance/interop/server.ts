/**
 * gRPC's interop test service, as a weft service. `PORT=10000 node conformance/interop/server.ts` serves it alone.
 * Source of its behaviour: gRPC's interop-test-descriptions.md, "Server".
 */
import { setTimeout as sleep } from "node:timers/promises";
import { codeOf, createRuntime, type Server, type ServerCall, serve, service, WeftError } from "weftmesh";
import type { EchoStatus } from "../gen/grpc/testing/messages.ts";
import { TestService } from "../gen/grpc/testing/test.ts";

export const testService = service(TestService, {
  emptyCall(_request, call) {
    echoMetadata(call);
    return {};
  },

  unaryCall(request, call) {
    echoMetadata(call);
    failAsAsked(request.responseStatus);
    return { payload: zeros(request.responseSize) };
  },

  cacheableUnaryCall: (request) => ({ payload: zeros(request.responseSize) }),

  async *streamingOutputCall(request, call) {
    echoMetadata(call);
    for (const { size, intervalUs } of request.responseParameters) {
      if (intervalUs > 0) await sleep(intervalUs / 1000, undefined, { signal: call.signal });
      yield { payload: zeros(size) };
    }
    failAsAsked(request.responseStatus);
  },

  async streamingInputCall(requests) {
    let aggregatedPayloadSize = 0;
    for await (const { payload } of requests) aggregatedPayloadSize += payload?.body.length ?? 0;
    return { aggregatedPayloadSize };
  },

  async *fullDuplexCall(requests, call) {
    echoMetadata(call);
    for await (const request of requests) {
      for (const { size, intervalUs } of request.responseParameters) {
        if (intervalUs > 0) await sleep(intervalUs / 1000, undefined, { signal: call.signal });
        yield { payload: zeros(size) };
      }
      failAsAsked(request.responseStatus);
    }
  },

  async *halfDuplexCall(requests) {
    const sizes: number[] = [];
    for await (const request of requests) sizes.push(...request.responseParameters.map(({ size }) => size));
    for (const size of sizes) yield { payload: zeros(size) };
  },
});

/** Starts it on a free port of 127.0.0.1 (or `port`), with a runtime of its own. */
export async function startInteropServer(port = 0): Promise<Server> {
  return await serve(testService, { port, runtime: createRuntime({ env: {} }) });
}

/** custom_metadata: what the caller sends in these two comes back as header and trailer. */
function echoMetadata(call: ServerCall): void {
  const initial = call.requestHeaders.get("x-grpc-test-echo-initial");
  if (initial !== undefined) call.setHeader("x-grpc-test-echo-initial", initial);
  for (const trailing of call.requestHeaders.getBinary("x-grpc-test-echo-trailing-bin")) {
    call.setTrailer("x-grpc-test-echo-trailing-bin", trailing);
  }
}

/** status_code_and_message, special_status_message: the caller names the error that it wants. */
function failAsAsked(status: EchoStatus | undefined): void {
  if (status === undefined || status.code === 0) return;
  throw new WeftError(codeOf(status.code), status.message);
}

function zeros(size: number): { body: Uint8Array } {
  return { body: new Uint8Array(size) };
}

if (import.meta.main) await serve(testService, { port: Number(process.env.PORT ?? 10_000) });
