import { setTimeout as sleep } from "node:timers/promises";
import { service } from "weftmesh";
import { Counter } from "./gen/counter/v1/counter.ts";

/** The smallest service that shows each kind of method. A plain value: tests call it without a socket (`counter.call`). */
export const counter = service(Counter, {
  count: ({ count }) => ({ count: count + 1n }),

  async *watch({ from, limit, intervalMs }, call) {
    for (let sent = 0; limit === 0 || sent < limit; sent++) {
      if (sent > 0 && intervalMs > 0) await sleep(intervalMs, undefined, { signal: call.signal });
      yield { count: from + BigInt(sent) };
    }
  },

  async sum(requests) {
    let sum = 0n;
    for await (const { count } of requests) sum += count;
    return { sum };
  },

  async *chat(requests) {
    for await (const { text } of requests) yield { text: `you said ${text}` };
  },

  hello: () => ({ contentType: "text/plain; charset=utf-8", data: Buffer.from("Hello, Counter Service!") }),
});
