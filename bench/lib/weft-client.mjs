// weft's typed unary client, from the built JavaScript. Its peer is peers/grpc-js/client.mjs.

import { createDirectClient } from "../../dist/call/direct.js";
import { Counter } from "../../examples/counter/gen/counter/v1/counter.ts";
import { drive } from "./drive.mjs";

const [port, calls] = process.argv.slice(2);
const { client, close } = createDirectClient(Counter, `127.0.0.1:${port}`);
const { count } = await client.count({ count: 1n });
if (count !== 2n) throw new Error(`1 was counted to ${count}`);
const request = { count: 1n };
await drive(() => client.count(request), Number(calls));
await close();
