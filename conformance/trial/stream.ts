/** Moves bytes through a port as a slow reader or against one: stream.ts download|upload PORT BYTES. Prints what arrived and its own peak memory. */
import { readFileSync } from "node:fs";
import { setTimeout as sleep } from "node:timers/promises";
import { connect } from "weftmesh";
import { Trial } from "../gen/weft/test/v1/trial.ts";

const [direction, port, total] = process.argv.slice(2);
const trial = connect(Trial, { address: `127.0.0.1:${port}` });
const chunkBytes = 65_536;
let bytes = 0;

if (direction === "download") {
  let sinceWait = 0;
  for await (const { data } of trial.download({ bytes: BigInt(total), chunkBytes }, { timeoutMs: 270_000 })) {
    bytes += data.length;
    sinceWait += data.length;
    if (sinceWait >= 1_048_576) {
      sinceWait = 0;
      await sleep(5); // reads slower than the server can send
    }
  }
} else {
  const data = new Uint8Array(chunkBytes).fill(0x62);
  const answer = await trial.upload(
    (function* () {
      for (let left = Number(total); left > 0; left -= chunkBytes)
        yield { data: left >= chunkBytes ? data : data.subarray(0, left), delayMs: 1 };
    })(),
    { timeoutMs: 270_000 },
  );
  bytes = Number(answer.bytes);
}
const peakMb = Number(/VmHWM:\s+(\d+)/.exec(readFileSync("/proc/self/status", "utf8"))?.[1]) / 1_024;
console.log(JSON.stringify({ bytes, peakMb }));
process.exit(0);
