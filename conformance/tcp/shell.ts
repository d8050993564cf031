import { writeFileSync } from "node:fs";
import { createServer } from "node:http";
import { join } from "node:path";

/** Says where names are answered for what runs beside its sidecar. */
createServer((_request, response) => response.end()).listen(Number(process.env.PORT), "127.0.0.1", () =>
  writeFileSync(join(process.env.SUITE_DIR ?? ".", "dns"), process.env.WEFT_DNS ?? ""),
);
