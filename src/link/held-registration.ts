import { createHash } from "node:crypto";
import { endpointToMessage } from "../contract/endpoint-message.ts";
import type { AttachRequestSchema } from "../contract/gen/weft/control/v1/control.ts";
import type { MessageInitShape } from "../contract/runtime.ts";
import type { Health } from "../core/endpoint.ts";
import type { Registration } from "./types.ts";
import { Waiters } from "./waiters.ts";

/** One registration of this process, which outlives every stream: it is made again on each until it is released. */
export class HeldRegistration {
  readonly registration: Registration;
  readonly id: string;
  readonly #digest: string;
  health: Health = "healthy";
  /** Whether the descriptors have been sent to some control plane; then the digest may do. */
  sent = false;
  /** Those who wait for the next acknowledged registration. */
  readonly waiters = new Waiters();

  constructor(registration: Registration) {
    this.registration = registration;
    this.id = registration.endpoint.id;
    const { descriptors } = registration;
    this.#digest = descriptors === null ? "" : createHash("sha256").update(descriptors).digest("hex");
  }

  message(requestId: bigint, withDescriptors: boolean): MessageInitShape<typeof AttachRequestSchema> {
    const { endpoint, contracts, descriptors, ttlMs = 0 } = this.registration;
    return {
      message: {
        case: "register",
        value: {
          requestId,
          endpoint: endpointToMessage({ ...endpoint, health: this.health }),
          ttlMs,
          contracts: [...contracts],
          descriptors: withDescriptors && descriptors !== null ? descriptors : new Uint8Array(0),
          descriptorsDigest: this.#digest,
        },
      },
    };
  }
}
