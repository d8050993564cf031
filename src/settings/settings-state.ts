/** What the configuration centre holds at one revision. Part of each revision, beside the resources, so that both are published, compared and rolled back as one. Immutable. */
export interface SettingsState {
  /** By name: a service's own is the service's name. DNS labels. */
  readonly namespaces: Readonly<Record<string, SettingsNamespace>>;
}

/** What is set for one service, or under one name that several read. */
export interface SettingsNamespace {
  /** By key: 1 to 128 of [A-Za-z0-9._-], beginning with a letter. The keys are the properties of the object that consumers see. */
  readonly values: Readonly<Record<string, SettingEntry>>;
  /** What the whole object must satisfy before it is published; null: anything. */
  readonly schema: SettingsSchema | null;
  /** Values that some consumers have already, oldest first; of two for one key the later counts. */
  readonly grays: readonly GrayRelease[];
  /** The revision that changed any of it last. */
  readonly revision: number;
}

/** A value, and who set it. */
export interface SettingEntry {
  readonly value: SettingValue;
  /** The revision that changed it last: what compare-and-set compares. */
  readonly revision: number;
  /** Who did, and when (ms since the Unix epoch): for whoever changes it next. */
  readonly author: string;
  readonly atMs: number;
}

export type Json = null | boolean | number | string | readonly Json[] | { readonly [name: string]: Json };
/** JSON, or what only those with the key can read (sealed.ts). */
export type SettingValue = Json | SealedValue;

/** AES-256-GCM, bound to namespace and key: "KEYID.NONCE.CIPHERTEXT", base64url. */
export interface SealedValue {
  readonly $sealed: string;
}

export type SettingsSchema =
  /** JSON Schema, draft 2020-12. */
  | { readonly kind: "json"; readonly schema: Json }
  /** Full name of a message of a contract that a service registered, in its JSON form. */
  | { readonly kind: "proto"; readonly message: string };

/** A change that only some consumers have. */
export interface GrayRelease {
  /** "g-41": named after the revision that began it. */
  readonly id: string;
  /** null takes the key away. */
  readonly changes: Readonly<Record<string, SettingValue | null>>;
  readonly to: GraySelector;
  readonly author: string;
  readonly reason: string;
  readonly sinceMs: number;
}

/** Every part that is given must hold. */
export interface GraySelector {
  /** 0..100 of the processes, by a hash of the gray release's id and the instance: more percent keeps those that had it. */
  readonly percent?: number;
  /** Instance ids ("orders-2"). */
  readonly instances?: readonly string[];
  readonly zones?: readonly string[];
  /** Labels of the process; "version" is its service's version. */
  readonly labels?: Readonly<Record<string, string>>;
  /** All of them: of the process, or of an endpoint that it has registered. */
  readonly tags?: readonly string[];
}

/** Who asks, as selectors see it. */
export interface SettingsConsumer {
  readonly instance: string;
  readonly zone: string;
  readonly labels: Readonly<Record<string, string>>;
  readonly tags: ReadonlySet<string>;
}

/** Before anything was set. */
export const NO_SETTINGS: SettingsState = Object.freeze({ namespaces: Object.freeze({}) });
