import type { Client } from "../../call/client-types.ts";
import { createDirectClient } from "../../call/direct.ts";
import { Admin } from "../../contract/gen/weft/control/v1/control.ts";
import type { ReportedLoad } from "./service-stats.ts";

/** Asks a control plane what the endpoints' processes report of their load. */
export interface LoadReader {
  /** Nothing while the control plane is away. */
  read(): Promise<ReportedLoad[]>;
  close(): Promise<void>;
}

/** `address`: "host:port", the same once there is one; null until then. */
export function createLoadReader(address: () => string | null): LoadReader {
  let direct: { client: Client<typeof Admin>; close(): Promise<void> } | null = null;
  return {
    async read() {
      const at = address();
      if (direct === null && at !== null) direct = createDirectClient(Admin, at, { pool: { background: true } });
      if (direct === null) return [];
      const { services } = await direct.client
        .listServices({ stale: true }, { timeoutMs: TIMEOUT_MS })
        .catch(() => ({ services: [] }));
      return services.flatMap(({ endpoints }) =>
        endpoints.map(({ load }) => load).filter((load) => load !== undefined),
      );
    },
    async close() {
      await direct?.close();
    },
  };
}

const TIMEOUT_MS = 1_000;
