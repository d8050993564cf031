// Calls each method of a counter at an address: node examples/counter/client.ts [host:port]
import { createRuntime } from "weftmesh";
import { Counter } from "./gen/counter/v1/counter.ts";

await using runtime = createRuntime();
const counter = runtime.connect(Counter, { address: process.argv[2] ?? "127.0.0.1:50051", timeoutMs: 5_000 });

const { count } = await counter.count({ count: 41n });
console.log(`count: ${count}`);

for await (const tick of counter.watch({ from: 1n, limit: 3 })) console.log(`watch: ${tick.count}`);

const { sum } = await counter.sum([{ count: 1n }, { count: 2n }, { count: 3n }]);
console.log(`sum: ${sum}`);

for await (const { text } of counter.chat([{ text: "hello" }, { text: "goodbye" }])) console.log(`chat: ${text}`);
