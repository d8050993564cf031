import type {
  GraySelector as GraySelectorMessage,
  SettingChange,
} from "../../contract/gen/weft/control/v1/settings.ts";
import { WeftError } from "../../core/errors.ts";
import type { SettingsChange } from "../../settings/change-settings.ts";
import type { GraySelector, Json, SettingsSchema, SettingValue } from "../../settings/settings-state.ts";

/** What somebody asks to have changed. Throws `invalid_argument` (BAD_SETTINGS) that names everything that is no JSON, or no change. */
export function changesOf(messages: readonly SettingChange[]): SettingsChange[] {
  const problems: string[] = [];
  const read = (at: string, json: string): Json => {
    try {
      return JSON.parse(json) as Json;
    } catch (cause) {
      problems.push(`${at.slice(0, 256)}: it is no JSON: ${(cause as Error).message}`);
      return null;
    }
  };
  const valuesOf = (
    namespace: string,
    values: Readonly<Record<string, string>>,
  ): Record<string, SettingValue | null> => {
    const out: [string, SettingValue | null][] = [];
    for (const [key, json] of Object.entries(values))
      out.push([key, json === "" ? null : read(`${namespace}/${key}`, json)]);
    return Object.fromEntries(out);
  };
  const changes = messages.flatMap(({ namespace, change }): SettingsChange[] => {
    switch (change.case) {
      case "set": {
        const { key, json, expectedRevision } = change.value;
        const value = read(`${namespace}/${key}`, json);
        return [{ kind: "set", namespace, key, value, ...expected(expectedRevision) }];
      }
      case "remove":
        return [{ kind: "remove", namespace, key: change.value.key, ...expected(change.value.expectedRevision) }];
      case "schema": {
        const { jsonSchema, message } = change.value;
        if (jsonSchema !== "" && message !== "")
          problems.push(`${namespace}: a schema is a JSON Schema or a message, not both`);
        return [
          {
            kind: "schema",
            namespace,
            schema: schemaOf(jsonSchema, message, (json) => read(`${namespace}: schema`, json)),
          },
        ];
      }
      case "beginGray":
        return [
          {
            kind: "begin",
            namespace,
            values: valuesOf(namespace, change.value.values),
            to: selectorOf(change.value.to),
          },
        ];
      case "widenGray": {
        const { id, to, values } = change.value;
        return [
          {
            kind: "widen",
            namespace,
            id,
            ...(to !== undefined && { to: selectorOf(to) }),
            values: valuesOf(namespace, values),
          },
        ];
      }
      case "promoteGray":
        return [{ kind: "promote", namespace, id: change.value }];
      case "endGray":
        return [{ kind: "end", namespace, id: change.value }];
      default:
        problems.push(`${namespace.slice(0, 64)}: what is to be changed is not said, or by a newer version of weft`);
        return [];
    }
  });
  if (problems.length === 0) return changes;
  throw new WeftError("invalid_argument", problems.slice(0, 50).join("\n"), { reason: "BAD_SETTINGS" });
}

function schemaOf(jsonSchema: string, message: string, read: (json: string) => Json): SettingsSchema | null {
  if (message !== "") return { kind: "proto", message };
  return jsonSchema === "" ? null : { kind: "json", schema: read(jsonSchema) };
}

/** Without what was not given. */
function selectorOf(message: GraySelectorMessage | undefined): GraySelector {
  const { percent, instances = [], zones = [], labels = {}, tags = [] } = message ?? {};
  return {
    ...(percent !== undefined && { percent }),
    ...(instances.length > 0 && { instances }),
    ...(zones.length > 0 && { zones }),
    ...(Object.keys(labels).length > 0 && { labels }),
    ...(tags.length > 0 && { tags }),
  };
}

function expected(revision: bigint | undefined): { expected?: number } {
  return revision === undefined ? {} : { expected: Number(revision) };
}
