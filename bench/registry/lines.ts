import { createDirectClient } from "../../src/call/direct.ts";
import { codecOf } from "../../src/contract/codec.ts";
import {
  type AttachRequestSchema,
  type AttachResponse,
  Control,
  ServiceUpdateSchema,
} from "../../src/contract/gen/weft/control/v1/control.ts";
import type { MessageInitShape } from "../../src/contract/runtime.ts";

export type Message = NonNullable<MessageInitShape<typeof AttachRequestSchema>["message"]>;
export type Direct = ReturnType<typeof createDirectClient<typeof Control>>;

/** A process's line to the control plane, with nothing around it: what is measured is the control plane, and the machine has few cores. */
export class BareLine {
  readonly #queue: Message[] = [];
  #wake: () => void = () => {};
  #ended = false;
  readonly #requests = new Map<bigint, (failure: string) => void>();
  #last = 0n;
  readonly ended: Promise<void>;
  /** Told of each update of a service. */
  onService: (endpoints: readonly { id: string; port: number }[]) => void = () => {};

  constructor(direct: Direct, process: string) {
    this.#queue.push({ case: "hello", value: { process } });
    this.ended = this.#read(direct.client.attach(this.#messages()));
  }

  /** Rejects with what the control plane refused it for. */
  ask(message: (requestId: bigint) => Message): Promise<void> {
    const id = ++this.#last;
    return new Promise((resolve, reject) => {
      this.#requests.set(id, (failure) => (failure === "" ? resolve() : reject(new Error(failure))));
      this.#queue.push(message(id));
      this.#wake();
    });
  }

  end(): void {
    this.#ended = true;
    this.#wake();
  }

  async *#messages(): AsyncGenerator<{ message: Message }> {
    while (!this.#ended) {
      const message = this.#queue.shift();
      if (message !== undefined) yield { message };
      else await new Promise<void>((resolve) => (this.#wake = resolve));
    }
  }

  async #read(responses: AsyncIterable<AttachResponse>): Promise<void> {
    try {
      for await (const { acks, services } of responses) {
        for (const { requestId, code, message } of acks) {
          this.#requests.get(requestId)?.(code === 0 ? "" : message);
          this.#requests.delete(requestId);
        }
        for (const bytes of services)
          this.onService(codecOf(ServiceUpdateSchema).decode(bytes, 0, bytes.length).changed);
      }
    } catch (error) {
      if (!this.#ended) throw error;
    }
  }
}

export interface Lines {
  readonly lines: BareLine[];
  close(): Promise<void>;
}

/** `count` connections, with `each` lines on every one of them, as fast as a control plane lets one address attach. */
export async function openLines(address: string, count: number, each: number): Promise<Lines> {
  const directs = Array.from({ length: count }, () => createDirectClient(Control, address, {}));
  const lines: BareLine[] = [];
  for (let n = 0; n < each; n++) {
    if (n > 0) await new Promise((resolve) => setTimeout(resolve, (count * 1_000) / LINES_A_SECOND));
    for (const [connection, direct] of directs.entries()) lines.push(new BareLine(direct, `bench-${connection}-${n}`));
  }
  return {
    lines,
    async close() {
      for (const line of lines) line.end();
      await Promise.all(lines.map((line) => line.ended.catch(() => {})));
      await Promise.all(directs.map((direct) => direct.close()));
    },
  };
}

/** Below the limit of 2,000. */
const LINES_A_SECOND = 1_500;
