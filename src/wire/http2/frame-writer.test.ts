import assert from "node:assert/strict";
import { test } from "node:test";
import { FrameWriter } from "./frame-writer.ts";

test("a frame whose header makes the buffer grow has its payload in the new buffer (WINDOW_UPDATE by 0)", () => {
  for (let before = 0; before < 200; before++) {
    const writer = new FrameWriter();
    for (let i = 0; i < before; i++) writer.windowUpdate(1, 0x01020304);
    for (let at = 0; at < before; at++) writer.rstStream(3, 8);
    writer.windowUpdate(5, 77_777);
    const bytes = writer.output.take();
    for (let i = 0; i < before; i++) assert.equal(bytes.readUInt32BE(i * 13 + 9), 0x01020304);
    for (let i = before; i < 2 * before; i++) assert.equal(bytes.readUInt32BE(i * 13 + 9), 8);
    assert.equal(bytes.readUInt32BE(2 * before * 13 + 9), 77_777);
  }
});
