import { type CallContext, type CallRequest, Effect } from "../call.ts";
import { endpoint, http, TestCall, world } from "../machine/call.case.ts";
import { traffic } from "../resource/traffic-builder.ts";
import type { PolicyRuntime } from "../runtime.ts";
import type { CacheSpec } from "./cache-field.ts";
import type { CacheStore } from "./cache-store.ts";

/** For tests of the cache: a runtime whose service "products" is played by the test, and a shell that stores. */

export interface Played {
  status?: number;
  fields?: readonly string[];
  body?: string;
  /** The exchange breaks before its head. */
  fails?: boolean;
}

export interface Got {
  status: number;
  fields: readonly string[];
  body: string;
  /** Fields that the service saw; null when it was not asked. */
  asked: readonly string[] | null;
  refreshed: boolean;
  reason: string;
}

export class CacheWorld {
  readonly runtime: PolicyRuntime;
  now = 1_000;

  constructor(
    cache: CacheSpec = {},
    also: (policy: ReturnType<typeof traffic>) => ReturnType<typeof traffic> = (policy) => policy,
  ) {
    const resources = also(traffic("products").cache(cache).retry(0)).resources();
    this.runtime = world({ resources, endpoints: [endpoint("products-1")] });
    this.runtime.setWallAt(WALL);
  }

  get store(): CacheStore {
    const [first] = this.runtime.caches();
    return first[1];
  }

  /** Moves time on by seconds. */
  pass(seconds: number): this {
    this.now += seconds * 1000;
    return this;
  }

  begin(path: string, fields: readonly string[] = [], method = "GET", parts: Partial<CallContext> = {}): CacheTestCall {
    return new CacheTestCall(this.runtime, this.now).start(http(method, path, fields), parts);
  }

  /** One call from end to end; `played` is what the service says if it is asked. */
  get(
    path: string,
    played: Played = {},
    fields: readonly string[] = [],
    method = "GET",
    parts: Partial<CallContext> = {},
  ): Got {
    const call = this.begin(path, fields, method, parts);
    if (call.asked !== null) call.play(played);
    const got = call.got();
    this.runtime.release(call.call);
    return got;
  }
}

export class CacheTestCall extends TestCall {
  asked: readonly string[] | null = null;
  #request: CallRequest = http("GET", "/");
  #answer: { status: number; fields: readonly string[]; body: string } | null = null;

  start(request: CallRequest, parts: Partial<CallContext>): this {
    this.#request = request;
    this.begin(request, { service: "products", ...parts });
    return this.look();
  }

  /** Reads what the machine asked of the service last. */
  look(): this {
    if (this.asked !== null || this.count(Effect.forward) === 0) return this;
    const { addFields, removeFields } = this.call;
    const { fields } = this.#request;
    const kept: string[] = [];
    for (let i = 0; i < fields.length; i += 2)
      if (!removeFields?.includes(fields[i])) kept.push(fields[i], fields[i + 1]);
    this.asked = [...kept, ...(addFields ?? [])];
    return this;
  }

  play({ status = 200, fields = [], body = "", fails = false }: Played): this {
    if (fails) return this.fail(1, "connect");
    this.head(1, status, fields, body === "");
    if (this.count(Effect.deliver) === 0) return this;
    this.#answer = { status, fields: [...fields, ...(this.call.addFields ?? [])], body };
    const { store } = this.call;
    if (body !== "") {
      const bytes = Buffer.from(body);
      store?.data(bytes, 0, bytes.length);
      store?.end();
      this.call.responseData(1, bytes.length, true, this.now);
      this.drain();
    } else store?.end();
    return this;
  }

  got(): Got {
    const { response } = this.call;
    const local = this.count(Effect.respond) > 0 && response !== null;
    return {
      status: local ? response.status : (this.#answer?.status ?? 0),
      fields: local ? response.fields : (this.#answer?.fields ?? []),
      body: local ? Buffer.from(response.body ?? []).toString() : (this.#answer?.body ?? ""),
      asked: this.asked,
      refreshed: this.count(Effect.refresh) > 0,
      reason: this.call.ended ? this.reason : "",
    };
  }
}

/** Epoch ms at 0 of the tests' clock: Mon, 01 Jan 2024 00:00:00 GMT. */
export const WALL = Date.UTC(2024, 0, 1);

/** An HTTP date so many seconds after that. */
export function date(seconds: number): string {
  return new Date(WALL + seconds * 1000).toUTCString();
}
