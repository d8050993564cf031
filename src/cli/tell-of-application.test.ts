import assert from "node:assert/strict";
import { test } from "node:test";
import { tellOfApplication } from "./tell-of-application.ts";

test("an application that does not answer is told of, once, and that it does, too", async (t) => {
  t.mock.timers.enable({ apis: ["setTimeout"] });
  let told = "";
  const met = Promise.withResolvers<void>();
  tellOfApplication(met.promise, "127.0.0.1:3000", "orders", { err: (text) => void (told += text) });
  t.mock.timers.tick(1_999);
  assert.equal(told, "");
  t.mock.timers.tick(60_000);
  assert.equal(told, "the application does not answer at 127.0.0.1:3000 yet; orders is registered when it does\n");
  met.resolve();
  await met.promise;
  assert.match(told, /\nthe application answers at 127\.0\.0\.1:3000\n$/);
});

test("of an application that answers in time nothing is told", async (t) => {
  t.mock.timers.enable({ apis: ["setTimeout"] });
  tellOfApplication(Promise.resolve(), "127.0.0.1:3000", "orders", { err: (text) => assert.fail(text) });
  await Promise.resolve();
  t.mock.timers.tick(60_000);
});
