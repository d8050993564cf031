import { readFileSync } from "node:fs";
import { parse } from "yaml";
import { WeftError } from "../../../core/errors.ts";
import { EXIT, usage } from "../../exit-status.ts";
import { jsonOf } from "../../json-of.ts";
import type { Terminal } from "../../terminal.ts";
import type { LedgerFlags } from "../ledger/ledger-line.ts";
import { type ChangeFlags, namespaceOf, withCentre } from "./centre.ts";

/** `weft settings schema set NAMESPACE [FILE]` */
export function setSchema(
  namespace: string,
  file: string | undefined,
  flags: ChangeFlags & { message?: string },
  terminal: Terminal,
): Promise<number> {
  const { message = "" } = flags;
  if ((file === undefined) === (message === ""))
    throw usage("give a file with a JSON Schema, or --message with the name of a message");
  const jsonSchema = file === undefined ? "" : JSON.stringify(read(file));
  return withCentre(flags, terminal, ({ publish }) =>
    publish(
      [{ namespace, change: { case: "schema", value: { jsonSchema, message } } }],
      flags,
      `weft settings schema set ${namespace}`,
    ),
  );
}

/** `weft settings schema get NAMESPACE` */
export function getSchema(namespace: string, flags: LedgerFlags, terminal: Terminal): Promise<number> {
  return withCentre(flags, terminal, async ({ read: held }) => {
    const { schema } = namespaceOf((await held(namespace)).state, namespace);
    if (flags.json) terminal.out(jsonOf({ schema }));
    else if (schema === null) terminal.out(`${namespace} has no schema\n`);
    else
      terminal.out(
        schema.kind === "proto" ? `message ${schema.message}\n` : `${JSON.stringify(schema.schema, null, 2)}\n`,
      );
    return EXIT.ok;
  });
}

/** `weft settings schema rm NAMESPACE` */
export function removeSchema(namespace: string, flags: ChangeFlags, terminal: Terminal): Promise<number> {
  return withCentre(flags, terminal, ({ publish }) =>
    publish([{ namespace, change: { case: "schema", value: {} } }], flags, `weft settings schema rm ${namespace}`),
  );
}

function read(file: string): unknown {
  let text: string;
  try {
    text = readFileSync(file, "utf8");
  } catch (cause) {
    throw new WeftError("not_found", `${file} cannot be read: ${(cause as Error).message}`, {
      reason: "NO_FILE",
      cause,
    });
  }
  try {
    return parse(text);
  } catch (cause) {
    throw new WeftError("invalid_argument", `${file} is neither JSON nor YAML: ${(cause as Error).message}`, {
      reason: "BAD_SCHEMA",
      place: { file },
      cause,
    });
  }
}
