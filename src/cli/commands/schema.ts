import { weftSchema } from "../../host/system-schema.ts";
import { EXIT } from "../exit-status.ts";
import type { Terminal } from "../terminal.ts";

/** `weft schema`: the JSON Schema of weft.yaml, as it is published with the package. */
export function schema(terminal: Terminal): number {
  terminal.out(schemaText());
  return EXIT.ok;
}

export function schemaText(): string {
  return `${JSON.stringify(weftSchema(), null, 1)}\n`;
}
