import assert from "node:assert/strict";
import { afterEach, mock } from "node:test";
import type { ControlPlaneOptions } from "../../src/control/control-plane.ts";
import { WeftError } from "../../src/core/errors.ts";
import { createRuntime, type Runtime, type RuntimeOptions } from "../../src/service/runtime.ts";
import { settings } from "../../src/service/settings/settings.ts";
import { World } from "./world.ts";

/** What tests of the configuration centre need: control planes, processes that use the settings of orders, and changes of them. All of it is closed after each test. */

mock.method(console, "error", () => {});
export const closing: (() => Promise<unknown>)[] = [];
afterEach(async () => {
  for (const close of closing.splice(0).reverse()) await close();
});

export async function world(options: Partial<ControlPlaneOptions> = {}): Promise<World> {
  const made = new World();
  closing.push(() => made.close());
  await made.startInMemory(options);
  return made;
}

export function process(at: World, options: RuntimeOptions = {}): Runtime {
  const runtime = createRuntime({ env: {}, control: at.plane?.address ?? "", service: "orders", ...options });
  closing.push(() => runtime.close());
  return runtime;
}

export const orders = {
  type: "object",
  properties: { maxItems: { type: "integer", default: 10 }, mode: { type: "string" } },
} as const;
export interface Orders {
  maxItems: number;
  mode?: string;
}
export const use = (runtime: Runtime) => settings<Orders>(orders, { runtime });

export const set = (key: string, value: unknown, expected?: number) => ({
  namespace: "orders",
  change: {
    case: "set" as const,
    value: { key, json: JSON.stringify(value), ...(expected !== undefined && { expectedRevision: BigInt(expected) }) },
  },
});

export async function rejection(body: Promise<unknown>): Promise<WeftError> {
  try {
    await body;
  } catch (thrown) {
    if (thrown instanceof WeftError) return thrown;
    throw thrown;
  }
  assert.fail("it did not reject");
}
