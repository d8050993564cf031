import { createRuntime, type Runtime, serve, service } from "weftmesh";
import { Counter } from "../../examples/counter/gen/counter/v1/counter.ts";

/** Counts by asking another counter, which gets this call's deadline, cancellation, trace, request id and lane. */
export const passingOn = (runtime: Runtime, address: string) => {
  const next = runtime.connect(Counter, { address });
  return service(Counter, { count: async (request) => await next.count(request) });
};

/** Two servers in one process, each on a free port, with a runtime of their own: how a test does it. */
export async function startTwo() {
  const runtime = createRuntime({ env: {} });
  const last = service(Counter, {
    count: ({ count }, call) => {
      call.setHeader("x-deadline", call.deadline < Number.POSITIVE_INFINITY ? "inherited" : "none");
      return { count: count + 1n };
    },
  });
  const inner = await serve(last, { runtime, port: 0 });
  const outer = await serve(passingOn(runtime, inner.address), { runtime, port: 0 });
  return {
    runtime,
    address: outer.address,
    async stop() {
      await outer.stop();
      await inner.stop();
      await runtime.close();
    },
  };
}
