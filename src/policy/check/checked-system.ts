import type { Place } from "../../core/errors.ts";
import type { Resource } from "../resource/resources.ts";
import type { FieldPath } from "../resource/shape.ts";
import type { DataPlane } from "./enforcement.ts";

/** What is checked as a whole: resources that are well formed, and the system that they are for. */
export interface CheckedSystem {
  readonly resources: readonly Resource[];
  /** The place of a field, or of the nearest thing around it. */
  placeOf(resource: Resource, path: FieldPath): Place;
  /** Which services each service calls; empty when it is not known. */
  readonly needs: ReadonlyMap<string, readonly string[]>;
  /** Services of the system; empty when they are not known. */
  readonly services: readonly string[];
  /** Of those that have versions. */
  readonly versions: ReadonlyMap<string, readonly string[]>;
  /** Of the gateway, beside HTTP; null when they are not known. */
  readonly listeners: readonly CheckedListener[] | null;
  /** Where a service's needs are written. */
  placeOfNeeds(service: string): Place;
  /** The data plane that has to enforce all of it; null: weft's own. */
  readonly dataPlane: DataPlane | null;
  readonly strict: boolean;
}

export interface CheckedListener {
  readonly name: string;
  readonly protocol: "TCP" | "UDP" | "TLS";
  /** 0: a free one. */
  readonly port: number;
}
