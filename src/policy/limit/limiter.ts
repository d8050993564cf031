import { parseDuration } from "../resource/duration.ts";
import type { RateLimit } from "../resource/resources.ts";
import { TokenBuckets } from "./token-bucket.ts";

/** A RateLimit with its buckets. */
export class LimiterState {
  readonly name: string;
  readonly requests: number;
  readonly perMs: number;
  readonly burst: number;
  readonly by: "all" | "address" | "identity" | "header";
  readonly header: string;
  /** Asks the shared limiter first. */
  readonly shared: boolean;
  readonly buckets: TokenBuckets;

  constructor({ metadata, spec }: RateLimit) {
    this.name = metadata.name;
    this.requests = spec.requests;
    this.perMs = parseDuration(spec.per ?? "1s") ?? 1000;
    this.burst = spec.burst ?? spec.requests;
    this.by = spec.key?.by ?? "all";
    this.header = (spec.key?.header ?? "").toLowerCase();
    this.shared = spec.scope === "system";
    this.buckets = new TokenBuckets(this.requests, this.perMs, this.burst, spec.maxKeys ?? 10_000);
  }

  /** The bucket of a call: by its caller's address (without the port), identity, a header, or one for all. */
  keyOf(fields: readonly string[], peerAddress: string, peerIdentity: string): string {
    switch (this.by) {
      case "all":
        return "";
      case "address": {
        const colon = peerAddress.lastIndexOf(":");
        return colon < 0 ? peerAddress : peerAddress.slice(0, colon);
      }
      case "identity":
        return peerIdentity;
      default: {
        for (let i = 0; i < fields.length; i += 2) if (fields[i] === this.header) return fields[i + 1].slice(0, 256);
        return "";
      }
    }
  }
}
