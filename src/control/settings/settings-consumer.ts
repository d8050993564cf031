import type { Hello } from "../../contract/gen/weft/control/v1/control.ts";
import { WeftError } from "../../core/errors.ts";
import { isPrintable } from "../../core/printable.ts";
import type { SettingsConsumer } from "../../settings/settings-state.ts";

/** An attached process as gray releases see it, with the tags of what it has registered. One that does not say which instance it is goes by its own name, which is another at each start. */
export function settingsConsumerOf(hello: Hello | null, registered: Iterable<string> = []): SettingsConsumer {
  if (hello === null) return NOBODY;
  const { instance, process, zone, labels, tags } = hello;
  return { instance: instance || process, zone, labels, tags: new Set([...tags, ...registered]) };
}

/** Throws `invalid_argument` (BAD_HELLO): what is said of zone, instance, labels and tags is kept, and so bounded. */
export function assertWhereabouts({ zone, instance, labels, tags }: Hello): void {
  const entries = Object.entries(labels);
  if (tags.length > MAX_LABELS) throw bad("tags", `it has ${tags.length} tags; at most ${MAX_LABELS} are kept`);
  if (entries.length > MAX_LABELS)
    throw bad("labels", `it has ${entries.length} labels; at most ${MAX_LABELS} are kept`);
  for (const [field, text] of [
    ["zone", zone],
    ["instance", instance],
    ...entries.flatMap((pair) => pair.map((one) => ["labels", one])),
    ...tags.map((tag) => ["tags", tag]),
  ])
    if (text.length > MAX_LENGTH || !isPrintable(text))
      throw bad(field, `${field} has more than ${MAX_LENGTH} characters, or control characters`);
}

const NOBODY: SettingsConsumer = { instance: "", zone: "", labels: {}, tags: new Set() };
const MAX_LABELS = 64;
const MAX_LENGTH = 253;

function bad(field: string, message: string): WeftError {
  return new WeftError("invalid_argument", `hello: ${message}`, { reason: "BAD_HELLO", place: { field } });
}
