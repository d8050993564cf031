import { VirtualClock } from "../../core/clock.ts";
import type { ClientMachine, ConnectionHost, ConnectionMachine } from "../connection.ts";
import type { Head } from "../head.ts";
import { type ConnectionLimits, resolveLimits } from "../limits.ts";
import type { HttpStream, PeerInfo, RequestHandler, StreamFailure, StreamSink } from "../stream.ts";
import { createHttp1Client } from "./client.ts";
import { HttpDate } from "./date.ts";
import { HeadCache } from "./head-cache.ts";
import { createHttp1Server } from "./server.ts";

/** Machines without sockets, for tests: what is sent is text, what is heard is a list of events. */

export const PEER: PeerInfo = { address: "10.0.0.1:5000", localAddress: "10.0.0.2:80", secure: false, identity: "" };
export const DATE_LINE = "date: Tue, 14 Nov 2023 22:13:20 GMT\r\n";

class CountingHost implements ConnectionHost {
  wakes = 0;
  wake(): void {
    this.wakes++;
  }
}

/** Writes down what a stream's sink hears; data of the same direction is joined, so that how it was split does not show. */
export class Recorder implements StreamSink {
  readonly events: string[] = [];
  body = "";
  ended = false;
  failure: StreamFailure | null = null;
  writable = 0;
  /** Credit what arrives at once. */
  credits = true;

  onHead(_stream: HttpStream, head: Head, fin: boolean): void {
    this.events.push(`head ${head.status} ${head.fields.join("|")}`);
    if (fin) this.end();
  }

  onData(stream: HttpStream, chunk: Uint8Array, start: number, end: number, fin: boolean): void {
    this.body += Buffer.from(chunk.subarray(start, end)).toString("latin1");
    if (this.credits) stream.credit(end - start);
    if (fin) this.end();
  }

  onTrailers(_stream: HttpStream, head: Head): void {
    this.events.push(`trailers ${head.fields.join("|")}`);
    this.end();
  }

  onReset(_stream: HttpStream, failure: StreamFailure): void {
    this.events.push(`reset ${failure.kind}`);
    this.failure = failure;
  }

  onWritable(): void {
    this.writable++;
  }

  end(): void {
    this.events.push(`end ${this.body}`);
    this.ended = true;
  }
}

export interface Exchange {
  readonly stream: HttpStream;
  readonly head: Head;
  readonly sink: Recorder;
}

export class ServerHarness implements RequestHandler {
  readonly host = new CountingHost();
  readonly exchanges: Exchange[] = [];
  readonly machine: ConnectionMachine;
  /** Called for each request after its sink is set. */
  onExchange: (exchange: Exchange, fin: boolean) => void;
  output = "";

  constructor(onExchange: (exchange: Exchange, fin: boolean) => void = () => {}, limits?: Partial<ConnectionLimits>) {
    this.onExchange = onExchange;
    const options = { host: this.host, peer: PEER, limits: resolveLimits(limits), handler: this };
    this.machine = createHttp1Server(options, new HeadCache(), new HttpDate(new VirtualClock()));
  }

  onRequest(stream: HttpStream, head: Head, fin: boolean): void {
    const exchange: Exchange = { stream, head, sink: new Recorder() };
    stream.sink = exchange.sink;
    exchange.sink.events.push(`request ${head.method} ${head.authority} ${head.path} ${head.fields.join("|")}`);
    if (fin) exchange.sink.end();
    this.exchanges.push(exchange);
    this.onExchange(exchange, fin);
  }

  /** Feeds text (latin1) in one piece and takes the output. */
  feed(text: string): this {
    feed(this.machine, Buffer.from(text, "latin1"));
    this.flush();
    return this;
  }

  /** What a shell does at the end of a turn, with a kernel that takes everything. */
  flush(): string {
    for (let turns = 0; this.machine.pendingBytes > 0 && turns < 1_000; turns++) {
      this.output += Buffer.from(this.machine.takeOutput()).toString("latin1");
      this.machine.written();
    }
    return this.output;
  }

  get status(): number {
    const match = /^HTTP\/1\.1 (\d+) /.exec(this.output);
    return match === null ? 0 : Number(match[1]);
  }
}

export class ClientHarness {
  readonly host = new CountingHost();
  readonly machine: ClientMachine;
  available = 0;
  output = "";

  constructor(limits?: Partial<ConnectionLimits>) {
    const onAvailable = () => this.available++;
    this.machine = createHttp1Client(
      { host: this.host, peer: PEER, limits: resolveLimits(limits), onAvailable },
      new HeadCache(),
    );
  }

  request(head: Head, extra: readonly string[] | null = null, fin = true): { stream: HttpStream; sink: Recorder } {
    const sink = new Recorder();
    return { stream: this.machine.request(head, extra, fin, sink), sink };
  }

  feed(text: string): this {
    feed(this.machine, Buffer.from(text, "latin1"));
    this.flush();
    return this;
  }

  flush(): string {
    while (this.machine.pendingBytes > 0) {
      this.output += Buffer.from(this.machine.takeOutput()).toString("latin1");
      this.machine.written();
    }
    return this.output;
  }
}

/** As a shell reads: every piece is in the same buffer at the same place, and is overwritten afterwards. */
export function feed(machine: ConnectionMachine, bytes: Uint8Array): void {
  const shared = Buffer.alloc(bytes.length + 16, 0x21);
  shared.set(bytes, 8);
  machine.receive(shared, 8, 8 + bytes.length);
  shared.fill(0x3f);
}

/** Feeds `bytes` cut at these positions. */
export function feedSplit(machine: ConnectionMachine, bytes: Uint8Array, cuts: readonly number[]): void {
  const at = [0, ...cuts.map((cut) => cut % (bytes.length + 1)).sort((a, b) => a - b), bytes.length];
  for (let i = 0; i + 1 < at.length; i++) if (at[i + 1] > at[i]) feed(machine, bytes.subarray(at[i], at[i + 1]));
}
