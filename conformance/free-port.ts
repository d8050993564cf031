import { randomInt } from "node:crypto";
import { once } from "node:events";
import { createServer } from "node:net";

/** A port of 127.0.0.1 that is free now, for a server that is about to be started: none that a connection out could have before it listens (those begin at 32768), nor of those that `weft up` chooses from. */
export async function freePort(): Promise<number> {
  for (;;) {
    const port = randomInt(10_000, 20_000);
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
