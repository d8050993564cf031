import type { Client } from "../../../call/client-types.ts";
import type { Admin } from "../../../contract/gen/weft/control/v1/control.ts";
import type { SettingChangeSchema, SettingsConsumer } from "../../../contract/gen/weft/control/v1/settings.ts";
import type { MessageInitShape } from "../../../contract/runtime.ts";
import { WeftError } from "../../../core/errors.ts";
import { parseSettingsState } from "../../../settings/check-state.ts";
import { isSealed } from "../../../settings/json-value.ts";
import { keyIdOf, readSettingsKeys, type SettingsKeys } from "../../../settings/sealed.ts";
import type { Json, SettingsNamespace, SettingsState, SettingValue } from "../../../settings/settings-state.ts";
import { usage } from "../../exit-status.ts";
import { jsonOf } from "../../json-of.ts";
import { sanitize, type Terminal } from "../../terminal.ts";
import { timeOf } from "../ledger/ledger.ts";
import { type LedgerFlags, type PublishingFlags, publicationOf, withLedger } from "../ledger/ledger-line.ts";
import { printDelivery, printWarnings, publishedText, statusOfDelivery } from "../ledger/print-published.ts";

export interface ChangeFlags extends PublishingFlags {
  ifRevision?: number;
}

export type Change = MessageInitShape<typeof SettingChangeSchema>;

/** What the control plane holds of settings, as commands see it. */
export interface Centre {
  readonly client: Client<typeof Admin>;
  readonly metadata: Record<string, string>;
  read(namespace?: string, revision?: number): Promise<Held>;
  /** The number of "41", of a tag, or of "" for the current one. Rejects `not_found`. */
  find(name: string): Promise<number>;
  /** Prints what came of it; gives the exit status. `expected`: the revision that must be the current one. */
  publish(changes: readonly Change[], flags: ChangeFlags, what: string, expected?: number): Promise<number>;
}

export interface Held {
  readonly revision: number;
  readonly state: SettingsState;
  readonly consumers: readonly SettingsConsumer[];
}

/** Connects, and closes when `body` is done. */
export function withCentre(
  flags: LedgerFlags,
  terminal: Terminal,
  body: (centre: Centre) => Promise<number>,
): Promise<number> {
  return withLedger(flags, ({ client, metadata, find }) =>
    body({
      client,
      metadata,
      async read(namespace = "", revision = 0) {
        const held = await client.getSettings({ namespace, revision: BigInt(revision) }, { metadata });
        return { revision: Number(held.revision), state: parseSettingsState(held.settings), consumers: held.consumers };
      },
      async find(name) {
        return /^[1-9]\d{0,14}$/.test(name) ? Number(name) : Number((await find(name)).revision);
      },
      async publish(changes, flags, what, expected = flags.ifRevision) {
        const { revisions } = await client.listRevisions({ limit: 1 }, { metadata });
        const published = await client.publishSettings(
          {
            changes: [...changes],
            reason: flags.reason || what,
            ...publicationOf(flags),
            ...(expected !== undefined && { expectedRevision: BigInt(expected) }),
          },
          { timeoutMs: flags.wait + 30_000, metadata },
        );
        const isNew = !flags.dryRun && revisions[0]?.revision !== published.revision;
        const { revision, warnings, delivery } = published;
        if (flags.json) {
          const { author, reason, publishedMs, changes } = published;
          const made = isNew ? { author, reason, publishedMs, changes } : {};
          terminal.out(jsonOf({ revision, changed: isNew, ...made, warnings, delivery }));
        } else {
          printWarnings(warnings, terminal);
          if (flags.dryRun) terminal.out("nothing is wrong with it; nothing was published\n");
          else printDelivery(publishedText(revision, isNew), delivery, USERS, terminal);
        }
        return statusOfDelivery(delivery);
      },
    }),
  );
}

/** "orders/maxItems" in its parts; of "orders" the key is "". */
export function placeOf(text: string): { namespace: string; key: string } {
  const slash = text.indexOf("/");
  return slash < 0 ? { namespace: text, key: "" } : { namespace: text.slice(0, slash), key: text.slice(slash + 1) };
}

/** The namespace, or an empty one where nothing is set. */
export function namespaceOf({ namespaces }: SettingsState, name: string): SettingsNamespace {
  return Object.hasOwn(namespaces, name) ? namespaces[name] : { values: {}, schema: null, grays: [], revision: 0 };
}

/** The keys of this environment. Throws `failed_precondition` (NO_SETTINGS_KEYS) without any. */
export function keysNeeded(what: string): SettingsKeys {
  const keys = readSettingsKeys(process.env);
  if (keys !== null) return keys;
  throw new WeftError(
    "failed_precondition",
    `${what} needs keys: set WEFT_SETTINGS_KEYS or WEFT_SETTINGS_KEYS_FILE; \`weft settings keys new\` makes one`,
    { reason: "NO_SETTINGS_KEYS" },
  );
}

/** For people: JSON; of a sealed value by which key, and what it is where there are keys. */
export function shown(namespace: string, key: string, value: SettingValue, keys: SettingsKeys | null): string {
  if (!isSealed(value)) return sanitize(JSON.stringify(value), false);
  if (keys === null) return `(sealed by ${sanitize(keyIdOf(value), false)})`;
  return sanitize(JSON.stringify(keys.unseal(namespace, key, value)), false);
}

/** KEY=VALUE: JSON, or text where it is none; "-" is what stdin says. Throws `invalid_argument` (BAD_USAGE). */
export async function assignments(texts: readonly string[]): Promise<[key: string, value: Json | undefined][]> {
  const found: [string, Json | undefined][] = [];
  let stdin: string | null = null;
  for (const text of texts) {
    const at = text.indexOf("=");
    if (at < 1) throw usage(`"${text.slice(0, 100)}" is not KEY=VALUE, for example maxItems=10`);
    let value = text.slice(at + 1);
    if (value === "-") {
      if (stdin !== null) throw usage("stdin can give one value alone");
      const chunks: Buffer[] = [];
      for await (const chunk of process.stdin) chunks.push(Buffer.from(chunk));
      stdin = value = Buffer.concat(chunks)
        .toString("utf8")
        .replace(/\r?\n$/, "");
    }
    found.push([text.slice(0, at), value === "" ? undefined : jsonOrText(text.slice(0, at), value)]);
  }
  return found;
}

function jsonOrText(key: string, text: string): Json {
  try {
    return JSON.parse(text) as Json;
  } catch (cause) {
    if (!/^\s*[[{"]/.test(text)) return text;
    throw usage(`${key}: this begins like JSON and is none: ${(cause as Error).message}`);
  }
}

/** "2026-11-21 20:15", in local time. */
export function minuteOf(ms: number | bigint): string {
  return timeOf(Number(ms)).slice(0, 16);
}

const USERS = ["process that uses it", "processes that use it"] as const;
