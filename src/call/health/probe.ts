import { connect } from "node:net";
import {
  Health,
  HealthCheckResponse_ServingStatus as ServingStatus,
} from "../../contract/gen/grpc/health/v1/health.ts";
import { hostPort } from "../../core/address.ts";
import type { Endpoint } from "../../core/endpoint.ts";
import { toWeftError } from "../../core/errors.ts";
import type { IdentitySource } from "../../core/identity.ts";
import { createDirectClient, type DirectClient } from "../direct.ts";
import type { HealthCheck } from "./health-check.ts";
import { connectionFailed, PASSED, type ProbeResult, timedOut } from "./probe-result.ts";

/** Probes one endpoint, again and again. */
export interface Prober {
  /** Never rejects; answers at the latest after the check's time-out. */
  probe(): Promise<ProbeResult>;
  close(): void;
}

/**
 * A probe makes a connection of its own instead of using a pool, because whether one can be made is what it asks; only gRPC probes keep
 * theirs between two checks. An endpoint that has an identity is asked over mutual TLS with `identity`, where there is one, and must prove its own.
 */
export function createProber(endpoint: Endpoint, check: HealthCheck, identity?: IdentitySource): Prober {
  if (check.kind === "grpc") return new GrpcProber(endpoint, check, identity);
  const probe =
    check.kind === "http"
      ? async () => (await import("./http-probe.ts")).probeHttp(endpoint, check, identity)
      : () => probeTcp(endpoint, check);
  return { probe, close() {} };
}

function probeTcp({ host, port }: Endpoint, { timeoutMs }: HealthCheck): Promise<ProbeResult> {
  return new Promise((resolve) => {
    const socket = connect({ host, port, timeout: timeoutMs });
    const done = (result: ProbeResult) => {
      socket.destroy();
      resolve(result);
    };
    socket.once("connect", () => done(PASSED));
    socket.once("timeout", () => done(timedOut(timeoutMs)));
    socket.once("error", (error) => done(connectionFailed(error)));
  });
}

class GrpcProber implements Prober {
  readonly #endpoint: Endpoint;
  readonly #check: HealthCheck;
  readonly #direct: DirectClient<typeof Health>;

  constructor(endpoint: Endpoint, check: HealthCheck, identity: IdentitySource | undefined) {
    const { host, port, protocol } = endpoint;
    this.#endpoint = endpoint;
    this.#check = check;
    this.#direct = createDirectClient(Health, hostPort(host, port), {
      protocol: protocol === "h2" ? "h2" : "h2c",
      ...(identity !== undefined &&
        endpoint.identity !== undefined && { identity: endpoint.identity, pool: { identity } }),
    });
  }

  async probe(): Promise<ProbeResult> {
    try {
      const { service, timeoutMs } = this.#check;
      const { status } = await this.#direct.client.check({ service }, { timeoutMs });
      if (status === ServingStatus.SERVING) return PASSED;
      return { outcome: "failed", message: `grpc.health.v1 says ${STATUS_NAMES[status] ?? status}` };
    } catch (thrown) {
      const error = toWeftError(thrown);
      const failed: ProbeResult = { outcome: "failed", message: `${error.code}: ${error.message}` };
      if (error.code !== "unavailable") return failed;
      // Whether nobody listens any more, a fresh connection tells; a call's error only says that it failed.
      const connection = await probeTcp(this.#endpoint, this.#check);
      return connection.outcome === "refused" ? connection : failed;
    }
  }

  close(): void {
    void this.#direct.close();
  }
}

const STATUS_NAMES: Record<number, string> = Object.fromEntries(
  Object.entries(ServingStatus).map(([name, number]) => [number, name]),
);
