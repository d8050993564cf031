import { randomInt } from "node:crypto";
import { once } from "node:events";
import { mkdirSync, statSync, utimesSync, writeFileSync } from "node:fs";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";

/**
 * A port of 127.0.0.1 for a server that is about to be started, and may be killed and started again: free now, given to nobody else who asks here for an hour (suites run beside each other), none that a
 * connection out could have meanwhile (those begin at 32768), nor of those that `weft up` chooses from.
 */
export async function freePort(): Promise<number> {
  for (;;) {
    const port = randomInt(10_000, 20_000);
    if (!reserve(port)) continue;
    const server = createServer();
    const free = new Promise<boolean>((resolve) => {
      server.once("listening", () => resolve(true)).once("error", () => resolve(false));
    });
    server.listen(port, "127.0.0.1");
    if (!(await free)) continue;
    server.close();
    await once(server, "close");
    return port;
  }
}

/** By a file that one alone can make. */
function reserve(port: number): boolean {
  mkdirSync(RESERVED, { recursive: true });
  const file = join(RESERVED, `${port}`);
  try {
    writeFileSync(file, "", { flag: "wx" });
    return true;
  } catch {
    if (Date.now() - statSync(file).mtimeMs < HOUR_MS) return false;
    utimesSync(file, new Date(), new Date());
    return true;
  }
}

const RESERVED = join(tmpdir(), "weft-ports");
const HOUR_MS = 3_600_000;
