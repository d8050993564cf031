import type { DescMethod } from "@bufbuild/protobuf";
import { codecOf, scratch } from "../contract/codec.ts";
import { messageField } from "../contract/message-field.ts";
import type { Codec } from "../contract/types.ts";
import { type Clock, systemClock } from "../core/clock.ts";
import { WeftError } from "../core/errors.ts";
import { fieldOf } from "../core/fields.ts";
import type { CallContext } from "../policy/call.ts";
import { frameMessage, PREFIX_BYTES, writeMessagePrefix } from "../wire/grpc/message-prefix.ts";
import { type Head, requestHead } from "../wire/head.ts";
import type { ClientFallback } from "./client-fallback.ts";
import type { AmbientCall, CallOptions, ClientOptions } from "./client-types.ts";
import { appendMetadata } from "./metadata.ts";
import type { Carrier } from "./types.ts";

/** What the calls of one client share: its options, resolved. */
export class ClientEnvironment {
  readonly carrier: Carrier;
  readonly clock: Clock;
  readonly service: string;
  readonly authority: string;
  readonly timeoutMs: number;
  readonly maxMessageBytes: number;
  readonly gzip: boolean;
  readonly ambient: (() => AmbientCall | undefined) | undefined;
  readonly ids: ClientOptions["ids"];
  readonly onDecision: ClientOptions["onDecision"];
  readonly userAgent: string;
  /** The context of calls without a deadline, which is the same for all. */
  readonly plainContext: CallContext;

  constructor(contract: string, options: ClientOptions) {
    this.carrier = options.carrier;
    this.clock = options.clock ?? systemClock;
    this.service = options.service ?? contract;
    this.authority = options.authority ?? this.service;
    this.timeoutMs = options.timeoutMs ?? Number.POSITIVE_INFINITY;
    this.maxMessageBytes = options.maxMessageBytes ?? 4_194_304;
    this.gzip = options.compression === "gzip";
    this.ambient = options.ambient;
    this.ids = options.ids;
    this.onDecision = options.onDecision;
    this.userAgent = options.userAgent ?? "weft";
    this.plainContext = new ClientContext(this.service, Number.POSITIVE_INFINITY, "", null, null);
  }

  /** The context of a call made now; `extra` are its extraFields, `message` what it sends when that is one message. */
  contextOf(
    options: CallOptions | undefined,
    ambient: AmbientCall | undefined,
    extra: readonly string[] | null,
    message: object | null,
  ): CallContext {
    const timeoutMs = options?.timeoutMs ?? this.timeoutMs;
    if (!(timeoutMs >= 0)) {
      throw new WeftError("invalid_argument", `timeoutMs is ${timeoutMs}; it must be 0 or more milliseconds`, {
        reason: "BAD_TIMEOUT",
      });
    }
    const inherited = ambient === undefined ? Number.POSITIVE_INFINITY : ambient.deadline;
    // Outside of a served call an id in the call's metadata names it.
    const requestId = ambient?.requestId ?? (extra === null ? "" : (fieldOf(extra, "x-request-id") ?? ""));
    const callerAttempt = ambient?.callerAttempt ?? 0;
    const read = message !== null && this.carrier.readsMessages === true ? message : null;
    if (timeoutMs === Number.POSITIVE_INFINITY && inherited === Number.POSITIVE_INFINITY) {
      const plain = requestId === "" && extra === null && read === null && callerAttempt === 0;
      if (plain) return this.plainContext;
      return new ClientContext(this.service, inherited, requestId, extra, read, callerAttempt);
    }
    const deadline = Math.min(inherited, this.clock.now() + timeoutMs);
    return new ClientContext(this.service, deadline, requestId, extra, read, callerAttempt);
  }

  /** Fields of one call beyond its method's constant head; null when there are none. */
  extraFields(options: CallOptions | undefined, ambient: AmbientCall | undefined): readonly string[] | null {
    const inherited = ambient === undefined ? null : ambient.extraFields;
    const metadata = options?.metadata;
    const ids = ambient === undefined ? this.ids : undefined;
    if (metadata === undefined) {
      const id = ids === undefined ? "" : ids.next();
      return id === "" ? inherited : ["x-request-id", id];
    }
    const fields = inherited === null ? [] : [...inherited];
    appendMetadata(fields, metadata);
    if (ids !== undefined && fieldOf(fields, "x-request-id") === undefined) {
      const id = ids.next();
      if (id !== "") fields.push("x-request-id", id);
    }
    return fields;
  }
}

class ClientContext implements CallContext {
  readonly place = "client";
  readonly service: string;
  readonly asSent = null;
  readonly peerAddress = "";
  readonly peerIdentity = "";
  readonly secure = false;
  readonly deadline: number;
  readonly callerAttempt: number;
  readonly requestId: string;
  readonly extraFields: readonly string[] | null;
  readonly #message: object | null;

  constructor(
    service: string,
    deadline: number,
    requestId: string,
    extraFields: readonly string[] | null,
    message: object | null,
    callerAttempt = 0,
  ) {
    this.callerAttempt = callerAttempt;
    this.service = service;
    this.deadline = deadline;
    this.requestId = requestId;
    this.extraFields = extraFields;
    this.#message = message;
  }

  messageField(path: string): string | undefined {
    return messageField(this.#message, path);
  }
}

/** A method made ready to be called: its head, with cached encoded bytes, and its codecs. */
export class MethodCaller {
  readonly desc: DescMethod;
  readonly env: ClientEnvironment;
  readonly path: string;
  readonly head: Head;
  readonly input: Codec;
  readonly output: Codec;

  /** The function that answers when the service cannot; null for none. */
  readonly fallback: ClientFallback | null;

  constructor(desc: DescMethod, env: ClientEnvironment, fallback: ClientFallback | null = null) {
    this.fallback = fallback;
    this.desc = desc;
    this.env = env;
    this.path = `/${desc.parent.typeName}/${desc.name}`;
    const fields = ["content-type", "application/grpc", "te", "trailers", "grpc-accept-encoding", "identity,gzip"];
    if (env.gzip) fields.push("grpc-encoding", "gzip");
    fields.push("user-agent", env.userAgent);
    this.head = requestHead("POST", "http", env.authority, this.path, fields);
    this.input = codecOf(desc.input);
    this.output = codecOf(desc.output);
  }

  /** Encodes a message behind its prefix into `scratch.bytes`; returns the end. Compressed ones come as bytes of their own, in `compressed`. */
  encode(message: object): number {
    this.compressed = null;
    const end = this.input.encodeScratch(message as Record<string, unknown>, PREFIX_BYTES);
    const length = end - PREFIX_BYTES;
    if (this.env.gzip && length >= MIN_GZIP_BYTES) return this.#gzip(end);
    writeMessagePrefix(scratch.bytes, 0, length, false);
    return end;
  }

  /** Set by encode(), until the next: what to send instead of `scratch.bytes`. */
  compressed: Uint8Array | null = null;

  #gzip(end: number): number {
    // Loaded with the first message that is compressed.
    const payload = process.getBuiltinModule("node:zlib").gzipSync(scratch.bytes.subarray(PREFIX_BYTES, end));
    this.compressed = frameMessage(payload, true);
    return this.compressed.length;
  }

  /** The bytes that encode() made. */
  takeEncoded(): Uint8Array {
    const bytes = this.compressed ?? scratch.bytes;
    this.compressed = null;
    return bytes;
  }
}

/** Below it gzip makes messages larger, or saves nothing that counts. */
const MIN_GZIP_BYTES = 1_024;
