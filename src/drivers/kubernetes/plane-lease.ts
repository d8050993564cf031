import type { Clock } from "../../core/clock.ts";
import { toWeftError } from "../../core/errors.ts";
import type { ApiClient } from "./api-client.ts";
import { type ApiObject, LEASES, parseObject } from "./api-resource.ts";
import { VersionLine } from "./version-line.ts";
import { MANAGED_BY, SYSTEM_LABEL, WEFT } from "./weft-slice.ts";

export interface PlaneLeaseOptions {
  client: ApiClient;
  clock: Clock;
  system: string;
  plane: string;
  periodMs: number;
  /** Others delete the Lease when it was not renewed for so long. */
  buriedMs: number;
}

/** The Lease object by which the others see that this control plane lives. */
export class PlaneLease {
  readonly #options: PlaneLeaseOptions;
  readonly #name: string;
  /** Of Leases, which may be kept in another etcd than slices. */
  readonly #versions = new VersionLine();
  #version = "";
  #renewedAt = Number.NEGATIVE_INFINITY;
  /** When it was there last. */
  #thereAt = Number.NEGATIVE_INFINITY;
  #lost = false;

  constructor(options: PlaneLeaseOptions) {
    this.#options = options;
    this.#name = leaseName(options.system, options.plane);
  }

  /**
   * Asks the API server whether it, and etcd behind it, answer: renews the Lease when a quarter of its period is over, and reads it else. True: these are other data than before, for the Lease was not there (or
   * somebody deleted it), or versions count from less.
   */
  async beat(timeoutMs: number): Promise<boolean> {
    const isOther = await this.#beat(timeoutMs);
    const now = this.#options.clock.now();
    // Nobody can have deleted it as one of a dead plane: that takes a period more.
    if (isOther && now - this.#thereAt < this.#options.buriedMs) this.#lost = true;
    this.#thereAt = now;
    return isOther;
  }

  /** Whether it was lost, and all data with it, since this was asked last. */
  takeLost(): boolean {
    const lost = this.#lost;
    this.#lost = false;
    return lost;
  }

  async #beat(timeoutMs: number): Promise<boolean> {
    const { client, clock, periodMs } = this.#options;
    const name = this.#name;
    if (this.#version === "") return this.#create(timeoutMs);
    try {
      if (clock.now() - this.#renewedAt < periodMs / 4) {
        this.#take(await client.ask({ verb: "get", resource: LEASES, name }, timeoutMs));
        return false;
      }
      const { mark } = this.#versions;
      const body = this.#body(this.#version);
      const written = this.#take(await client.ask({ verb: "update", resource: LEASES, name, body }, timeoutMs));
      this.#renewedAt = clock.now();
      const replaced = this.#versions.isReplaced(written, mark);
      this.#versions.of(written);
      return replaced;
    } catch (thrown) {
      const { reason } = toWeftError(thrown);
      if (reason === "NO_SUCH_OBJECT") {
        this.#version = ""; // until it is known to be there again: a creation whose answer is lost may have been carried out
        return this.#create(timeoutMs);
      }
      if (reason !== "CONFLICT") throw thrown;
      // A renewal whose answer was lost was carried out; the next one compares with that.
      this.#take(await client.ask({ verb: "get", resource: LEASES, name }, timeoutMs));
      return false;
    }
  }

  /** Tells the others that this plane is no more. */
  async end(timeoutMs: number): Promise<void> {
    if (this.#version === "") return;
    const body = { kind: "DeleteOptions", apiVersion: "v1" };
    await this.#options.client.ask({ verb: "delete", resource: LEASES, name: this.#name, body }, timeoutMs);
  }

  async #create(timeoutMs: number): Promise<boolean> {
    const { client, clock } = this.#options;
    try {
      this.#take(await client.ask({ verb: "create", resource: LEASES, body: this.#body("") }, timeoutMs));
      this.#renewedAt = clock.now();
    } catch (thrown) {
      if (toWeftError(thrown).reason !== "ALREADY_EXISTS") throw thrown;
      this.#take(await client.ask({ verb: "get", resource: LEASES, name: this.#name }, timeoutMs));
    }
    return true;
  }

  #take(answer: Record<string, unknown>): string {
    this.#version = parseObject(answer).metadata.resourceVersion;
    return this.#version;
  }

  #body(resourceVersion: string) {
    const { clock, system, plane, periodMs } = this.#options;
    // For people; no program compares it with a clock.
    const renewTime = new Date(clock.wallMs()).toISOString().replace("Z", "000Z");
    const labels = { [MANAGED_BY]: WEFT, [SYSTEM_LABEL]: system };
    return {
      metadata: { name: this.#name, labels, ...(resourceVersion !== "" && { resourceVersion }) },
      spec: { holderIdentity: plane, leaseDurationSeconds: Math.ceil(periodMs / 1_000), renewTime },
    };
  }
}

/** Of the Lease by which a plane shows that it lives. */
export function leaseName(system: string, plane: string): string {
  return `weft-${system}-plane-${plane}`;
}

/** The plane whose Lease it is; null: it is another Lease. */
export function planeOf({ metadata }: ApiObject, system: string): string | null {
  const start = leaseName(system, "");
  return metadata.name.startsWith(start) ? metadata.name.slice(start.length) : null;
}
