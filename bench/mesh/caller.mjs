// An application that only calls: the load generator does so in its place, at the address that is left for it here.
import { writeFileSync } from "node:fs";
import { createServer } from "node:http";
import { join } from "node:path";

const { PORT, BENCH_DIR, WEFT_SERVICE, WEFT_SIDECAR } = process.env;
writeFileSync(join(BENCH_DIR, WEFT_SERVICE), WEFT_SIDECAR);
createServer((_request, response) => response.end()).listen(Number(PORT), "127.0.0.1");
