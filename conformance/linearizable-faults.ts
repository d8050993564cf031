import { test } from "node:test";
import type { Driver } from "./driver-contracts.ts";
import { HurtLine } from "./hurt-line.ts";
import { checkLinearizable, type LinearizableOptions } from "./linearizable.ts";
import type { HurtableServer } from "./registry-faults.ts";
import { wait } from "./registry-plane.ts";

/** Whether what concurrent clients of a driver see, of keys and of a registry in the mode "consistent", is in order while its server goes through hurtInTurn(). Every other client is there by way of a line that is hurt, too. */
export function judgeDriver<S extends HurtableServer>(
  name: string,
  { server: start, url, openRegistry, openKeyValue }: Driver<S>,
  limits: Pick<LinearizableOptions, "clients" | "keys" | "pauseMs"> = {},
  /** What this server alone can be hurt by besides, while half of the clients are cut off from it. */
  special: (server: S) => Promise<void> = async () => {},
): void {
  test(`${name}: what concurrent clients see across faults is in order`, async () => {
    const server = await start();
    const line = await HurtLine.open(server.port);
    let opened = 0;
    const next = (): string => url(opened++ % 2 === 0 ? server.address : line.address, server);
    try {
      await checkLinearizable({
        name,
        ...limits,
        openKeyValue: () => openKeyValue({ url: next(), system: "judged" }),
        openRegistry: () => openRegistry({ url: next(), system: "judged", mode: "consistent" }),
        hurt: () => hurtInTurn(server, line, () => special(server)),
      });
    } finally {
      await line.close();
      await server.stop();
    }
  });
}

/**
 * What clients of a server go through while it is judged whether what they see is in order: it is killed and started again, stands still, is slow and loses connections, with some
 * quiet time in between. Half of the clients, who know it by `line`, are cut off, too. It takes 25 s, and nobody is away for longer than 3 s: no control plane is taken for dead.
 */
async function hurtInTurn(server: HurtableServer, line: HurtLine, special: () => Promise<void>): Promise<void> {
  await wait(1_000);
  await server.kill();
  await wait(500);
  await server.start();
  await wait(2_500);
  server.pause();
  await wait(3_000);
  server.resume();
  await wait(2_500);
  for (let round = 0; round < 5; round++) {
    line.reset();
    await wait(200);
  }
  line.delayMs = 100;
  await wait(3_000);
  line.delayMs = 0;
  line.refusing = true;
  line.reset();
  await wait(2_000);
  await special();
  await wait(1_000);
  line.refusing = false;
  await wait(2_500);
  await server.kill();
  await server.start();
  await wait(3_000);
}
