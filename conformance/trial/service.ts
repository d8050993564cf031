import { setTimeout as sleep } from "node:timers/promises";
import { service } from "weftmesh";
import { Trial } from "../gen/weft/test/v1/trial.ts";

const answer = async ({ name, takeMs }: { name: string; takeMs: number }) => {
  if (takeMs > 0) await sleep(takeMs);
  return { name, instance: process.pid };
};

export const trial = service(Trial, {
  read: answer,
  replace: answer,
  remove: answer,
  mark: answer,
  async *download({ bytes, chunkBytes }) {
    const chunk = new Uint8Array(chunkBytes).fill(0x61);
    for (let left = Number(bytes); left > 0; left -= chunkBytes)
      yield { data: left >= chunkBytes ? chunk : chunk.subarray(0, left) };
  },
  async upload(chunks) {
    let bytes = 0n;
    let sinceWait = 0;
    let delayMs = 0;
    for await (const chunk of chunks) {
      delayMs ||= chunk.delayMs;
      bytes += BigInt(chunk.data.length);
      sinceWait += chunk.data.length;
      if (delayMs > 0 && sinceWait >= 262_144) {
        sinceWait = 0;
        await sleep(delayMs);
      }
    }
    return { bytes };
  },
});
