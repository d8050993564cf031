import type { ClientMachine, ConnectionMachine } from "../connection.ts";
import type { Head } from "../head.ts";
import { type ConnectionLimits, resolveLimits } from "../limits.ts";
import type { HttpStream, PeerInfo, RequestHandler, StreamFailure, StreamSink } from "../stream.ts";
import { createHttp2Client, type Http2Client, type Http2ClientOptions } from "./client.ts";
import { CLIENT_PREFACE, writeFrameHeader } from "./frame.ts";
import { createHttp2Server } from "./server.ts";

export const PEER: PeerInfo = { address: "10.0.0.7:9002", localAddress: "10.0.0.1:1", secure: false, identity: "" };

/** Wakes nobody: the tests move the bytes themselves. */
export class Host {
  wakes = 0;

  wake(): void {
    this.wakes++;
  }
}

/** Writes down what it hears; credits what it gets unless `hold`. */
export class Recorder implements StreamSink {
  readonly events: string[] = [];
  readonly heads: Head[] = [];
  trailers: Head | null = null;
  failure: StreamFailure | null = null;
  ended = 0;
  writable = 0;
  readonly parts: Buffer[] = [];
  hold = false;

  get body(): string {
    return Buffer.concat(this.parts).toString("latin1");
  }

  onHead(_stream: HttpStream, head: Head, fin: boolean): void {
    this.heads.push(head);
    this.events.push(`head ${head.status}`);
    if (fin) this.#end();
  }

  onData(stream: HttpStream, chunk: Uint8Array, start: number, end: number, fin: boolean): void {
    this.parts.push(Buffer.from(chunk.subarray(start, end)));
    if (!this.hold) stream.credit(end - start);
    if (fin) this.#end();
  }

  onTrailers(_stream: HttpStream, head: Head): void {
    this.trailers = head;
    this.events.push("trailers");
    this.#end();
  }

  onReset(_stream: HttpStream, failure: StreamFailure): void {
    this.failure = failure;
    this.events.push(`reset ${failure.kind} ${failure.code}`);
  }

  onWritable(): void {
    this.writable++;
  }

  #end(): void {
    this.ended++;
    this.events.push("end");
  }
}

export function server(handler: RequestHandler, limits: Partial<ConnectionLimits> = {}): ConnectionMachine {
  return createHttp2Server({ host: new Host(), peer: PEER, limits: resolveLimits(limits), handler });
}

export function client(limits: Partial<ConnectionLimits> = {}, more: Partial<Http2ClientOptions> = {}): Http2Client {
  return createHttp2Client({
    host: new Host(),
    peer: PEER,
    limits: resolveLimits(limits),
    onAvailable() {},
    ...more,
  });
}

/** Moves bytes both ways until neither side has any. */
export function settle(a: ConnectionMachine | ClientMachine, b: ConnectionMachine | ClientMachine): void {
  for (;;) {
    const moved = move(a, b) + move(b, a);
    if (moved === 0) return;
  }
}

/** One write of `from` reaches `to`. */
export function move(from: ConnectionMachine, to: ConnectionMachine): number {
  const bytes = Buffer.from(from.takeOutput());
  from.written();
  to.receive(bytes, 0, bytes.length);
  return bytes.length;
}

export interface Frame {
  type: number;
  flags: number;
  id: number;
  payload: Buffer;
}

/** Takes the machine's output apart. */
export function framesOf(machine: ConnectionMachine): Frame[] {
  const bytes = Buffer.from(machine.takeOutput());
  machine.written();
  const frames: Frame[] = [];
  let at = bytes.subarray(0, 24).equals(CLIENT_PREFACE) ? 24 : 0;
  while (at < bytes.length) {
    const length = bytes.readUIntBE(at, 3);
    const payload = bytes.subarray(at + 9, at + 9 + length);
    frames.push({ type: bytes[at + 3], flags: bytes[at + 4], id: bytes.readUInt32BE(at + 5), payload });
    at += 9 + length;
  }
  return frames;
}

/** A frame as bytes; `payload` may be hex. */
export function frame(type: number, flags: number, id: number, payload: string | Uint8Array = ""): Buffer {
  const body = typeof payload === "string" ? Buffer.from(payload.replaceAll(" ", ""), "hex") : Buffer.from(payload);
  const out = Buffer.alloc(9 + body.length);
  writeFrameHeader(out, 0, body.length, type, flags, id);
  body.copy(out, 9);
  return out;
}

export function feed(machine: ConnectionMachine, ...parts: Uint8Array[]): void {
  const bytes = Buffer.concat(parts);
  machine.receive(bytes, 0, bytes.length);
}
