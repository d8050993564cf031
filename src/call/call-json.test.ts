import assert from "node:assert/strict";
import { test } from "node:test";
import type { DescMethod, JsonValue } from "@bufbuild/protobuf";
import {
  ChatRequestSchema,
  ChatResponseSchema,
  Counter,
  CountResponseSchema,
} from "../../examples/counter/gen/counter/v1/counter.ts";
import { codecOf } from "../contract/codec.ts";
import { callJson } from "./call-json.ts";
import { createDirectCarrier } from "./direct.ts";
import { startWireServer, type WireCall } from "./loopback.case.ts";

function serve(call: WireCall): void {
  if (call.head.path.endsWith("/Count")) {
    call.onEnd = () => call.reply(codecOf(CountResponseSchema).encode({ count: 9007199254740993n }));
    return;
  }
  call.sendHead();
  call.onMessage = (bytes) => {
    const { text } = codecOf(ChatRequestSchema).decode(bytes, 0, bytes.length);
    call.sendMessage(codecOf(ChatResponseSchema).encode({ text: text.toUpperCase() }));
  };
  call.onEnd = () => call.sendStatus(0);
}

async function all(method: DescMethod, requests: JsonValue[], address: string): Promise<JsonValue[]> {
  await using direct = createDirectCarrier(address);
  return await Array.fromAsync(callJson(method, requests, direct));
}

test("a unary call and a stream by descriptor, JSON in and out", async () => {
  await using server = await startWireServer(serve);
  // 64-bit numbers are strings in proto3's JSON, and taken as numbers too.
  assert.deepEqual(await all(Counter.method.count, [{ count: 1 }], server.address), [{ count: "9007199254740993" }]);
  const texts = await all(Counter.method.chat, [{ text: "a" }, { text: "b" }], server.address);
  assert.deepEqual(texts, [{ text: "A" }, { text: "B" }]);
});

test("JSON that does not fit is refused with the field's name, and so is a wrong number of requests", async () => {
  await using server = await startWireServer(serve);
  const { count, chat } = Counter.method;
  await assert.rejects(all(count, [{ count: "many" }], server.address), { code: "invalid_argument", message: /count/ });
  await assert.rejects(all(chat, [{ text: "a" }, { txet: "b" }], server.address), {
    reason: "BAD_JSON",
    message: /txet/,
  });
  await assert.rejects(all(count, [], server.address), { reason: "REQUEST_COUNT", message: /none/ });
  await assert.rejects(all(count, [{}, {}], server.address), { reason: "REQUEST_COUNT" });
});
