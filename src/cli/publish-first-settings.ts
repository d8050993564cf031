import type { Client } from "../call/client-types.ts";
import type { Admin } from "../contract/gen/weft/control/v1/control.ts";
import type { SettingChangeSchema } from "../contract/gen/weft/control/v1/settings.ts";
import type { MessageInitShape } from "../contract/runtime.ts";
import { toWeftError } from "../core/errors.ts";
import type { FirstSettings } from "../host/first-settings.ts";
import { parseSettingsState } from "../settings/check-state.ts";

/**
 * Sets those of a description's first settings that nobody has set, all in one revision: what somebody has set, or set before this one could, stays as it is. Rejects `invalid_argument` for values that a schema refuses.
 */
export async function publishFirstSettings(
  client: Client<typeof Admin>,
  first: FirstSettings,
  publication: { author: string; reason: string },
  metadata: { authorization: string },
): Promise<void> {
  if (Object.values(first).every((values) => Object.keys(values).length === 0)) return;
  for (let tries = 1; ; tries++) {
    const { settings } = await client.getSettings({}, { metadata });
    const { namespaces } = parseSettingsState(settings);
    const changes: MessageInitShape<typeof SettingChangeSchema>[] = [];
    for (const [namespace, values] of Object.entries(first))
      for (const [key, value] of Object.entries(values)) {
        if (Object.hasOwn(namespaces, namespace) && Object.hasOwn(namespaces[namespace].values, key)) continue;
        const set = { key, json: JSON.stringify(value), expectedRevision: 0n };
        changes.push({ namespace, change: { case: "set", value: set } });
      }
    if (changes.length === 0) return;
    try {
      await client.publishSettings({ ...publication, changes }, { metadata });
      return;
    } catch (thrown) {
      // Somebody was faster: what that one has set stays.
      if (toWeftError(thrown).reason !== "STALE_SETTING" || tries === MAX_TRIES) throw thrown;
    }
  }
}

const MAX_TRIES = 5;
