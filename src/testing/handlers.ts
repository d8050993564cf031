import { AsyncLocalStorage } from "node:async_hooks";
import type { DescMethod, DescService } from "@bufbuild/protobuf";
import { parseCallerAttempt } from "../call/caller-attempt.ts";
import type { Client, CallOptions as ClientCallOptions } from "../call/client-types.ts";
import { Metadata } from "../call/metadata.ts";
import { codecOf } from "../contract/codec.ts";
import { messageFromJson } from "../contract/json.ts";
import { errorFromTrailers } from "../contract/status.ts";
import { codeNumber, toWeftError, WeftError } from "../core/errors.ts";
import type { AnyServiceDefinition } from "../service/definition.ts";
import { createTestClient } from "../service/test-client.ts";
import { type Answer, EMPTY, failure, httpOf, OK } from "./answer.ts";
import type { CarriedCall } from "./carried-call.ts";
import type { EventQueue } from "./event-queue.ts";
import type { Pump } from "./pump.ts";
import type { Replica, Serve } from "./replica.ts";
import { createRequest, type SimRequest } from "./request.ts";

/** What the calls of a handler inherit from the attempt that it answers. */
export interface Serving {
  readonly replica: Replica;
  /** Absolute, virtual. */
  readonly deadline: number;
  readonly signal: AbortSignal;
  /** Which attempt of its caller's it is, 0 when that has not said. */
  readonly callerAttempt: number;
}

/** Which attempt is being served, for the clients that its handler uses. */
export type ServingScope = AsyncLocalStorage<Serving>;

export function createServingScope(): ServingScope {
  return new AsyncLocalStorage();
}

type LocalClient = Record<
  string,
  (message: unknown, options: ClientCallOptions) => Promise<object> | AsyncIterable<object>
>;

/** Answers attempts by a definition's own handlers, in this process: through its interceptors and codecs, in virtual time. */
export function serveDefinition(
  definition: AnyServiceDefinition,
  events: EventQueue,
  pump: Pump,
  scope: ServingScope,
): Serve {
  const methods = new Map<string, DescMethod>();
  const desc = definition.desc as DescService;
  for (const method of desc.methods) methods.set(`/${desc.typeName}/${method.name}`, method);
  return (attempt, replica) => {
    const { request, context } = attempt.call;
    const method = methods.get(attempt.path === "" ? request.head.path : attempt.path);
    if (method === undefined || !request.grpc) {
      const answer = failure(501, 12, `${desc.typeName} has no method ${request.head.path}`);
      replica.answer(attempt, request.grpc ? answer : failure(404));
      return;
    }
    const identity = context.peerIdentity;
    const peer = { address: context.peerAddress, identity, secure: context.secure };
    const { caller } = attempt.gates ?? { caller: null };
    const client = createTestClient(definition, { clock: events, peer, ...caller }) as unknown as LocalClient;
    const gone = new AbortController();
    attempt.stopServing = () => gone.abort();
    const serving = {
      replica,
      deadline: events.now() + attempt.timeoutMs,
      signal: gone.signal,
      callerAttempt: parseCallerAttempt(attempt.head),
    };
    let head: readonly string[] = [];
    let trailers: readonly string[] = [];
    const options: ClientCallOptions = {
      metadata: new Metadata(attempt.head.filter((_, i) => !/^(content-type|te)$/.test(attempt.head[i - (i % 2)]))),
      signal: gone.signal,
      onHeader: ({ fields }) => (head = fields),
      onTrailer: ({ fields }) => (trailers = fields),
    };
    if (Number.isFinite(attempt.timeoutMs)) options.timeoutMs = attempt.timeoutMs;
    pump.atWork++;
    const work = scope.run(serving, async (): Promise<Answer> => {
      const result = client[method.localName](messageOf(request, method), options);
      const message = Symbol.asyncIterator in result ? await gathered(result) : await result;
      const body = Array.isArray(message)
        ? EMPTY
        : codecOf(method.output)
            .encode(message as never)
            .slice();
      return { ...OK, fields: head, trailers, body, message };
    });
    work
      .catch((thrown) => {
        const error = toWeftError(thrown);
        return failed(error, head, trailers);
      })
      .then((answer) => {
        pump.atWork--;
        if (!gone.signal.aborted) replica.answer(attempt, answer);
      });
  };
}

function failed(error: WeftError, head: readonly string[], trailers: readonly string[]): Answer {
  const number = codeNumber(error.code);
  const answer = failure(httpOf(number), number, error.message);
  return { ...answer, fields: head, trailers: [...answer.trailers, ...trailers] };
}

/** A stream's messages, all of them: what the simulation delivers at once, when it has ended. */
async function gathered(stream: AsyncIterable<object>): Promise<object[]> {
  const messages: object[] = [];
  for await (const message of stream) {
    if (messages.push(message) > MAX_MESSAGES) {
      throw new WeftError(
        "resource_exhausted",
        `a simulated stream may have ${MAX_MESSAGES} messages; this one goes on`,
        {
          reason: "STREAM_TOO_LONG",
        },
      );
    }
  }
  return messages;
}

function messageOf(request: SimRequest, method: DescMethod): unknown {
  const { message, body } = request;
  if (message !== null) return message;
  if (method.methodKind === "client_streaming" || method.methodKind === "bidi_streaming") return [];
  return body.length > 0 ? codecOf(method.input).decode(body, 0, body.length) : {};
}

/** Makes a call of the world's and tells how it ended. */
export type MakeCall = (
  request: SimRequest,
  serving: Serving | undefined,
  options: ClientCallOptions,
) => Promise<CarriedCall>;

/** A typed client through the simulated mesh, for handlers and tests. */
export function createMeshClient<S extends DescService>(
  desc: S,
  serviceOf: () => string,
  scope: ServingScope,
  makeCall: MakeCall,
): Client<S> {
  const client: Record<string, unknown> = {};
  for (const method of desc.methods) {
    const grpcMethod = `${desc.typeName}/${method.name}`;
    const call = async (message: object, options: ClientCallOptions): Promise<object> => {
      const service = serviceOf();
      const headers = Object.fromEntries(pairs(Metadata.from(options.metadata).fields));
      const sent = Symbol.asyncIterator in message ? await gathered(message as AsyncIterable<object>) : message;
      const request = createRequest({ grpcMethod, message: sent, headers, service });
      const carried = await makeCall(request, scope.getStore(), options);
      options.onHeader?.(new Metadata([...carried.fields]));
      options.onTrailer?.(new Metadata([...carried.fields]));
      if (carried.local?.error) throw carried.local.error;
      const error = carried.local === null ? errorFromTrailers(carried.fields) : null;
      if (error !== null) throw error;
      if (carried.message === null && carried.local === null) {
        throw new WeftError("unimplemented", `${service} is only a model and has no message to answer ${grpcMethod}`, {
          reason: "NO_DEFINITION",
        });
      }
      return carried.message ?? fallbackMessage(method, carried);
    };
    const streams = method.methodKind === "server_streaming" || method.methodKind === "bidi_streaming";
    client[method.localName] = streams
      ? async function* (message: object, options: ClientCallOptions = {}) {
          yield* (await call(message, options)) as object[];
        }
      : (message: object, options: ClientCallOptions = {}) => call(message, options);
  }
  return client as Client<S>;
}

/** Policy's fixed answer, as the typed client reads it: the response in JSON. */
function fallbackMessage(method: DescMethod, { body }: CarriedCall): object {
  return messageFromJson(method.output, body.length === 0 ? {} : JSON.parse(new TextDecoder().decode(body)));
}

function pairs(fields: readonly string[]): [string, string][] {
  const result: [string, string][] = [];
  for (let i = 0; i < fields.length; i += 2) result.push([fields[i], fields[i + 1]]);
  return result;
}

const MAX_MESSAGES = 10_000;
