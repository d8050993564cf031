import { createHash } from "node:crypto";
import { isDeepStrictEqual } from "node:util";
import { codecOf } from "../contract/codec.ts";
import { ResourceSetSchema } from "../contract/gen/weft/control/v1/control.ts";
import type { Resource } from "../policy/resource/resources.ts";
import type { RevisionNote, StoredRevision } from "../settings/revision-store.ts";
import { NO_SETTINGS, type SettingsState } from "../settings/settings-state.ts";

/** One entry of the ledger. Immutable. */
export interface LedgerRevision extends RevisionNote {
  /** SHA-256 of `resources`. */
  readonly digest: string;
  /** A JSON array. */
  readonly resources: string;
  readonly settings: SettingsState;
}

/** Resources that were checked, and each of them as JSON. */
export interface CurrentResources {
  readonly resources: readonly Resource[];
  readonly texts: readonly string[];
}

/** Before the first one. */
export const NOTHING: LedgerRevision = {
  revision: 0,
  author: "",
  reason: "",
  publishedMs: 0,
  changes: [],
  digest: "",
  resources: "[]",
  settings: NO_SETTINGS,
};

/** As data planes get it; `ledger` tells its numbers from those of other ledgers. */
export function encodeResourceSet({ revision, resources }: LedgerRevision, ledger: string): Uint8Array {
  return codecOf(ResourceSetSchema).encode({ revision: BigInt(revision), json: resources, ledger });
}

/** SHA-256, in hexadecimal digits. */
export function digestOf(resources: string): string {
  return createHash("sha256").update(resources).digest("hex");
}

/** Whether they are alike in everything, also in who set what. */
export function isSameSettings(one: SettingsState, other: SettingsState): boolean {
  return one === other || isDeepStrictEqual(one, other);
}

/** Of a JSON array of resources that was checked before. */
export function resourcesOf(text: string): CurrentResources {
  const resources = JSON.parse(text) as Resource[];
  return { resources, texts: resources.map((resource) => JSON.stringify(resource)) };
}

/** As a store keeps it. */
export function storedOf({ settings, digest: _, ...rest }: LedgerRevision): StoredRevision {
  return { ...rest, settings: JSON.stringify(settings) };
}

/** As storedOf() made it. */
export function revisionOf({ settings, ...stored }: StoredRevision): LedgerRevision {
  const state = settings === "" ? NO_SETTINGS : (JSON.parse(settings) as SettingsState);
  return { ...stored, digest: digestOf(stored.resources), settings: state };
}
