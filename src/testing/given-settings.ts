import { WeftError } from "../core/errors.ts";
import type { KnownSettings, SettingsFollower, WantedSettings } from "../link/settings-line.ts";
import { processRuntime, type Runtime } from "../service/runtime.ts";
import type { Json, SettingValue } from "../settings/settings-state.ts";

/** Settings that a test gives, in place of a control plane's. */
export interface GivenSettings {
  /** Gives a namespace other values, all of them. Resolves when they are in force everywhere; rejects `failed_precondition` (SETTINGS_REFUSED) with what refused them: the ones before stay there. */
  set(namespace: string, values: Readonly<Record<string, unknown>>): Promise<void>;
}

/**
 * Gives settings to what calls `settings()` from now on: `giveSettings({ orders: { maxItems: 5 } })`. A namespace that is not given is empty, so that its schema's defaults count.
 * `runtime`: default that of the process.
 */
export function giveSettings(
  namespaces: Readonly<Record<string, Readonly<Record<string, unknown>>>> = {},
  { runtime = processRuntime() }: { runtime?: Runtime } = {},
): GivenSettings {
  const given = new Map<string, KnownSettings>();
  for (const [namespace, values] of Object.entries(namespaces)) given.set(namespace, known(1, values));
  const takers: WantedSettings[] = [];
  const source: SettingsFollower = {
    async follow(wanted) {
      takers.push(wanted);
      await wanted.take(given.get(wanted.namespace) ?? known(1, {}));
    },
    saved: async () => null,
  };
  runtime.settingsSource = source;
  return {
    async set(namespace, values) {
      const next = known((given.get(namespace)?.revision ?? 1) + 1, values);
      given.set(namespace, next);
      for (const taker of takers) {
        const refusal = taker.namespace === namespace ? await taker.take(next) : "";
        if (refusal !== "") throw new WeftError("failed_precondition", refusal, { reason: "SETTINGS_REFUSED" });
      }
    },
  };
}

/** As they would come over the line. */
function known(revision: number, values: Readonly<Record<string, unknown>>): KnownSettings {
  return { revision, values: JSON.parse(JSON.stringify(values)) as Record<string, SettingValue & Json>, grays: [] };
}
