import { test } from "node:test";
import { checkLinearizable } from "../linearizable.ts";
import { wait } from "../registry-plane.ts";
import { KilledProcess } from "./killed-process.ts";

test("sqlite: what concurrent clients see while the process is killed six times, and stands still twice, is in order", async () => {
  const process = new KilledProcess();
  await process.start();
  try {
    await checkLinearizable({
      name: "sqlite",
      openKeyValue: async () => process.keyValue(),
      openRegistry: async () => process.registry(),
      pauseMs: 15,
      async hurt() {
        for (let round = 0; round < 6; round++) {
          await wait(1_500);
          if (round % 3 === 1) {
            process.pause();
            await wait(3_000);
            process.resume();
            await wait(500);
          }
          await process.kill();
          await wait(100);
          await process.start();
        }
        await wait(1_500);
      },
    });
  } finally {
    await process.stop();
  }
});
