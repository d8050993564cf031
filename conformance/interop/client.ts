/**
 * gRPC's interop cases, weft's client against any test server on 127.0.0.1:PORT (grpc-go's in conformance/run.ts).
 * Source of the cases: gRPC's interop-test-descriptions.md. `node -C weft-source conformance/interop/client.ts PORT` runs them alone.
 */
import assert from "node:assert/strict";
import type { CallOptions, Client } from "../../src/call/client-types.ts";
import { createDirectClient } from "../../src/call/direct.ts";
import type { Metadata } from "../../src/call/metadata.ts";
import { type Code, WeftError } from "../../src/core/errors.ts";
import { TestService, UnimplementedService } from "../gen/grpc/testing/test.ts";

export interface InteropResult {
  name: string;
  ok: boolean;
  error?: string;
}

type Test = (client: Client<typeof TestService>, address: string) => Promise<void>;

const REQUEST_SIZES = [27_182, 8, 1_828, 45_904];
const RESPONSE_SIZES = [31_415, 9, 2_653, 58_979];

const TESTS: Readonly<Record<string, Test>> = {
  async empty_unary(client) {
    await client.emptyCall({});
  },

  async large_unary(client) {
    const { payload } = await client.unaryCall(largeRequest());
    assert.equal(payload?.body.length, 314_159);
  },

  async client_streaming(client) {
    const requests = REQUEST_SIZES.map((size) => ({ payload: zeros(size) }));
    const { aggregatedPayloadSize } = await client.streamingInputCall(requests);
    assert.equal(aggregatedPayloadSize, 74_922);
  },

  async server_streaming(client) {
    const sizes: number[] = [];
    const responseParameters = RESPONSE_SIZES.map((size) => ({ size }));
    for await (const { payload } of client.streamingOutputCall({ responseParameters }))
      sizes.push(payload?.body.length ?? -1);
    assert.deepEqual(sizes, RESPONSE_SIZES);
  },

  async ping_pong(client) {
    const requests = new Hand<object>();
    const responses = client.fullDuplexCall(requests);
    for (let i = 0; i < REQUEST_SIZES.length; i++) {
      requests.give(pingPong(i));
      const { value } = await responses.next();
      assert.equal(value?.payload?.body.length, RESPONSE_SIZES[i]);
    }
    requests.end();
    assert.equal((await responses.next()).done, true);
  },

  async empty_stream(client) {
    assert.equal((await client.fullDuplexCall([]).next()).done, true);
  },

  async cancel_after_begin(client) {
    const controller = new AbortController();
    const answer = client.streamingInputCall(new Hand(), { signal: controller.signal });
    controller.abort();
    await fails(answer, "cancelled");
  },

  async cancel_after_first_response(client) {
    const controller = new AbortController();
    const requests = new Hand<object>();
    const responses = client.fullDuplexCall(requests, { signal: controller.signal });
    requests.give(pingPong(0));
    const { value } = await responses.next();
    assert.equal(value?.payload?.body.length, RESPONSE_SIZES[0]);
    controller.abort();
    await fails(responses.next(), "cancelled");
  },

  async timeout_on_sleeping_server(client) {
    const requests = new Hand<object>();
    const responses = client.fullDuplexCall(requests, { timeoutMs: 1 });
    requests.give({
      responseParameters: [{ size: RESPONSE_SIZES[0], intervalUs: 1_000_000 }],
      payload: zeros(REQUEST_SIZES[0]),
    });
    await fails(responses.next(), "deadline_exceeded");
  },

  async custom_metadata(client) {
    const echo = new Echo();
    await client.unaryCall(largeRequest(), echo.options);
    echo.check();
    const again = new Echo();
    const responses = client.fullDuplexCall([pingPong(0)], again.options);
    let answers = 0;
    for await (const _ of responses) answers++;
    assert.equal(answers, 1);
    again.check();
  },

  async status_code_and_message(client) {
    const responseStatus = { code: 2, message: "test status message" };
    await fails(client.unaryCall({ responseStatus }), "unknown", responseStatus.message);
    await fails(client.fullDuplexCall([{ responseStatus }]).next(), "unknown", responseStatus.message);
  },

  async special_status_message(client) {
    const responseStatus = { code: 2, message: "\t\ntest with whitespace\r\nand Unicode BMP ☺ and non-BMP 😈\t\n" };
    await fails(client.unaryCall({ responseStatus }), "unknown", responseStatus.message);
  },

  async unimplemented_method(client) {
    await fails(client.unimplementedCall({}), "unimplemented");
  },

  async unimplemented_service(_client, address) {
    await using direct = createDirectClient(UnimplementedService, address);
    await fails(direct.client.unimplementedCall({}), "unimplemented");
  },
};

/** Runs every case, each on a connection of its own; one that takes longer than 10 s has failed. */
export async function runInteropClient(port: number): Promise<InteropResult[]> {
  const results: InteropResult[] = [];
  for (const [name, test] of Object.entries(TESTS)) results.push(await runOne(name, test, `127.0.0.1:${port}`));
  return results;
}

async function runOne(name: string, test: Test, address: string): Promise<InteropResult> {
  await using direct = createDirectClient(TestService, address);
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<never>((_, reject) => {
    timer = setTimeout(() => reject(new Error("took longer than 10 s")), 10_000);
  });
  try {
    await Promise.race([test(direct.client, address), late]);
    return { name, ok: true };
  } catch (error) {
    return { name, ok: false, error: error instanceof Error ? error.message : String(error) };
  } finally {
    clearTimeout(timer);
  }
}

/** A stream of requests whose messages are handed in one by one. */
class Hand<T> implements AsyncIterable<T> {
  readonly #given: T[] = [];
  #over = false;
  #wake: (() => void) | null = null;

  give(message: T): void {
    this.#given.push(message);
    this.#wake?.();
  }

  end(): void {
    this.#over = true;
    this.#wake?.();
  }

  async *[Symbol.asyncIterator](): AsyncGenerator<T> {
    for (;;) {
      const next = this.#given.shift();
      if (next !== undefined) yield next;
      else if (this.#over) return;
      else
        await new Promise<void>((resolve) => {
          this.#wake = resolve;
        });
    }
  }
}

/** Metadata that the server has to send back: one value with the head, one with the trailers. */
class Echo {
  #initial: string | undefined;
  #trailing: Uint8Array[] = [];

  readonly options: CallOptions = {
    metadata: {
      "x-grpc-test-echo-initial": "test_initial_metadata_value",
      "x-grpc-test-echo-trailing-bin": Uint8Array.of(0xab, 0xab, 0xab),
    },
    onHeader: (headers: Metadata) => {
      this.#initial = headers.get("x-grpc-test-echo-initial");
    },
    onTrailer: (trailers: Metadata) => {
      this.#trailing = trailers.getBinary("x-grpc-test-echo-trailing-bin");
    },
  };

  check(): void {
    assert.equal(this.#initial, "test_initial_metadata_value");
    assert.deepEqual(this.#trailing, [Uint8Array.of(0xab, 0xab, 0xab)]);
  }
}

function zeros(size: number): { body: Uint8Array } {
  return { body: new Uint8Array(size) };
}

function largeRequest(): { responseSize: number; payload: { body: Uint8Array } } {
  return { responseSize: 314_159, payload: zeros(271_828) };
}

function pingPong(i: number): { responseParameters: { size: number }[]; payload: { body: Uint8Array } } {
  return { responseParameters: [{ size: RESPONSE_SIZES[i] }], payload: zeros(REQUEST_SIZES[i]) };
}

async function fails(answer: Promise<unknown>, code: Code, message?: string): Promise<void> {
  await assert.rejects(answer, (error: unknown) => {
    assert.ok(error instanceof WeftError, `rejects with a WeftError, not ${String(error)}`);
    assert.equal(error.code, code, error.message);
    if (message !== undefined) assert.equal(error.message, message);
    return true;
  });
}

if (import.meta.main) {
  const results = await runInteropClient(Number(process.argv[2]));
  for (const { name, ok, error } of results)
    console.log(`${ok ? "ok    " : "FAILED"} ${name}${error === undefined ? "" : `: ${error}`}`);
  process.exitCode = results.every(({ ok }) => ok) ? 0 : 1;
}
