import { createDirectCarrier, type DirectCarrier } from "../../call/direct.ts";
import { hostPort } from "../../core/address.ts";
import type { Clock } from "../../core/clock.ts";
import { WeftError } from "../../core/errors.ts";
import type { Destination } from "./destination.ts";

/** Whether what is outside of the mesh may be called: "any" host, or nothing but the "mesh". */
export type EgressMode = "any" | "mesh";

/** HTTP to hosts outside of the mesh: passed through, each call once, no policy. Connections are kept for the hosts used last. */
export class Egress {
  readonly mode: EgressMode;
  readonly #clock: Clock;
  readonly #carriers = new Map<string, DirectCarrier>();

  constructor(mode: EgressMode, clock: Clock) {
    this.mode = mode;
    this.#clock = clock;
  }

  /** Throws nothing: the error says why calls to this host are refused, null when they are not. */
  refusal({ host }: Destination): WeftError | null {
    if (this.mode === "any") return null;
    return new WeftError(
      "permission_denied",
      `${host} is no service of the mesh that is known, and this sidecar lets nothing else out; start it with --egress any to allow other hosts`,
      { reason: "EGRESS_DENIED" },
    );
  }

  carrierTo(destination: Destination, http2: boolean): DirectCarrier {
    const address = hostPort(destination.host, destination.port);
    const key = http2 ? `h2c ${address}` : address;
    let carrier = this.#carriers.get(key);
    if (carrier !== undefined) {
      this.#carriers.delete(key); // the last used are last
      this.#carriers.set(key, carrier);
      return carrier;
    }
    for (const [oldKey, old] of this.#carriers) {
      if (this.#carriers.size < MAX_HOSTS) break;
      if (old.carrier.inFlight > 0) continue;
      this.#carriers.delete(oldKey);
      void old.close();
    }
    carrier = createDirectCarrier(address, { protocol: http2 ? "h2c" : "http1", clock: this.#clock });
    this.#carriers.set(key, carrier);
    return carrier;
  }

  async close(): Promise<void> {
    await Promise.all(Array.from(this.#carriers.values(), (carrier) => carrier.close()));
  }
}

/** Hosts whose connections are kept. */
const MAX_HOSTS = 256;
