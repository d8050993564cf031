import { Health } from "../contract/gen/grpc/health/v1/health.ts";
import { ServerReflection } from "../contract/gen/grpc/reflection/v1/reflection.ts";
import { ServerReflection as ServerReflectionAlpha } from "../contract/gen/grpc/reflection/v1alpha/reflection.ts";
import type { Clock } from "../core/clock.ts";
import type { TimerWheel } from "../core/timer-wheel.ts";
import { BufferBudget } from "../service/buffer-budget.ts";
import { CallScope } from "../service/call-scope.ts";
import { createDispatcher } from "../service/dispatch.ts";
import { InFlight } from "../service/environment.ts";
import { createHealthService } from "../service/health.ts";
import { createReflectionServices } from "../service/reflection.ts";
import { ServedCalls } from "../service/served-calls.ts";
import { ServerStatus } from "../service/server-status.ts";
import type { RequestHandler } from "../wire/stream.ts";
import type { Rest } from "./rest.ts";

/** The gRPC services that a gateway serves itself: reflection over every registered contract, and its own health. */
export interface LocalServices {
  /** Their full names. */
  readonly services: ReadonlySet<string>;
  readonly handler: RequestHandler;
  readonly status: ServerStatus;
}

export function createLocalServices(rest: Rest, clock: Clock, wheel: TimerWheel): LocalServices {
  const status = new ServerStatus();
  const environment = {
    clock,
    wheel,
    scope: new CallScope(),
    inFlight: new InFlight(),
    served: new ServedCalls(clock),
    load: null,
    gates: null,
    buffers: new BufferBudget(MAX_BUFFERED_BYTES),
    onError: () => {},
  };
  let contracts: Rest["contracts"] | null = null;
  let dispatcher: RequestHandler;
  return {
    services: new Set([Health.typeName, ServerReflection.typeName, ServerReflectionAlpha.typeName]),
    status,
    handler: {
      onRequest(stream, head, fin) {
        if (contracts !== rest.contracts) {
          contracts = rest.contracts;
          const services = contracts.flatMap((set) => set.services);
          const definitions = [
            createHealthService(
              status,
              services.map((service) => service.typeName),
            ),
            ...createReflectionServices(services),
          ];
          dispatcher = createDispatcher({ definitions, environment, status });
        }
        dispatcher.onRequest(stream, head, fin);
      },
    },
  };
}

/** Requests that arrive in parts, all together: reflection and health messages are small. */
const MAX_BUFFERED_BYTES = 1_048_576;
