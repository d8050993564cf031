import type { DescMethod, DescService } from "@bufbuild/protobuf";
import type { CallOptions, Client } from "../call/client-types.ts";
import { isStreaming } from "./method.ts";

/** What has to happen before a client's calls can be made. */
export interface Readiness {
  /** True from when `whenReady` resolved. */
  readonly ready: boolean;
  /** Resolves when calls can be made. May be called again after a rejection, to try again. */
  whenReady(): Promise<void>;
}

type Method = (message: unknown, options?: CallOptions) => Promise<object> | AsyncIterableIterator<object>;

/**
 * A client whose first calls wait until it is ready, so that making one stays synchronous. Once ready, a call costs one test more than
 * with the client itself.
 */
export function deferClient<S extends DescService>(desc: S, client: Client<S>, readiness: Readiness): Client<S> {
  const deferred: Record<string, Method> = {};
  const methods = client as Record<string, Method>;
  for (const { localName, methodKind } of desc.methods as readonly DescMethod[]) {
    const call = methods[localName];
    const later: Method = isStreaming(methodKind).response
      ? (message, options) =>
          laterStream(readiness.whenReady().then(() => call(message, options) as AsyncIterableIterator<object>))
      : async (message, options) => {
          await readiness.whenReady();
          return await call(message, options);
        };
    deferred[localName] = (message, options) => (readiness.ready ? call(message, options) : later(message, options));
  }
  return deferred as Client<S>;
}

function laterStream(stream: Promise<AsyncIterableIterator<object>>): AsyncIterableIterator<object> {
  // A failure is told by next(); a stream that nobody reads must not end the process.
  stream.catch(() => {});
  return {
    next: async () => await (await stream).next(),
    async return(value?: unknown) {
      const iterator = await stream.catch(() => null);
      await iterator?.return?.(value);
      return { done: true, value: undefined };
    },
    [Symbol.asyncIterator]() {
      return this;
    },
  };
}
