import { writeFileSync } from "node:fs";
import { createServer } from "node:http";
import { join } from "node:path";

/** Says where names are answered, and proxied calls taken, for what runs beside its sidecar. */
createServer((_request, response) => response.end()).listen(Number(process.env.PORT), "127.0.0.1", () => {
  for (const [file, value] of Object.entries({ proxy: process.env.WEFT_SIDECAR, dns: process.env.WEFT_DNS }))
    writeFileSync(join(process.env.SUITE_DIR ?? ".", file), value ?? "");
});
