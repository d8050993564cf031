import type { Socket } from "node:net";
import type { Cancel, Clock } from "../../core/clock.ts";
import { WeftError } from "../../core/errors.ts";
import type { TlsMaterial } from "../driver-tls.ts";
import { dial } from "./dial.ts";
import { JuteFrames, JuteReader } from "./jute.ts";
import {
  type Access,
  type Change,
  decodeChanges,
  decodeConnected,
  decodeData,
  decodeManyRead,
  decodeNames,
  decodeReplyHeader,
  decodeStat,
  decodeWatchEvent,
  encodeAuth,
  encodeConnect,
  encodeRequest,
  type ManyRead,
  type NodeData,
  REFUSED,
  type ReplyHeader,
  type Request,
  type SessionTicket,
  type Stat,
  type WatchEvent,
  XID,
} from "./zookeeper-messages.ts";
import { lostError, refusalOf, unknownOutcome } from "./zookeeper-refusal.ts";
import type { ZookeeperTarget } from "./zookeeper-url.ts";

export interface ZookeeperConnectionOptions {
  address: string;
  login: ZookeeperTarget["login"];
  tls: TlsMaterial | null;
  clock: Clock;
  /** What somebody else did below a path that is watched. What is asked later is answered later. */
  onWatch: (event: WatchEvent) => void;
  /** In touch: everything that had happened when it was asked was told. At least once a second. */
  onBeat: () => void;
  /** Told once, when it has failed; not when it was closed. */
  onEnd: (failure: WeftError) => void;
}

/** What came of a transaction: all of it, or what the first part was that was refused. */
export type Outcome =
  | { readonly zxid: bigint }
  | { readonly zxid: null; readonly index: number; readonly code: number };

/**
 * One connection to one ZooKeeper server, with a session from elsewhere. It is never repaired: what fails ends it, and the next one is another. Answers come in the order in which was
 * asked, and what a watch tells comes before the answer to anything that was asked later.
 *
 *     made --open(): a session--> in use --broken, not understood, SILENT_MS without a word--> failed
 *                                    \--close()--> closed
 */
export class ZookeeperConnection {
  readonly address: string;
  /** What nodes are made for. */
  readonly access: Access;
  readonly #options: ZookeeperConnectionOptions;
  readonly #frames = new JuteFrames(MAX_FRAME_BYTES);
  /** What is asked and not answered yet, in that order, from #first on. */
  #asked: Asked[] = [];
  #first = 0;
  #xid = 0;
  #socket: Socket | null = null;
  #connected: ((frame: Buffer) => void) | null = null;
  #corked = false;
  /** When the server was asked for a sign of life that has not come; null: it was not. */
  #beatAt: number | null = null;
  #heardAt = 0;
  #stopBeating: Cancel = ignore;
  #barrier: Promise<bigint> | null = null;
  #over = false;
  failure: WeftError | null = null;

  constructor(options: ZookeeperConnectionOptions) {
    this.address = options.address;
    this.access = options.login === null ? "anyone" : "creator";
    this.#options = options;
  }

  /** To be done first: takes the session up, or a new one (id 0). Null: that session is over, and this connection with it. */
  async open(ticket: SessionTicket, timeoutMs: number): Promise<{ ticket: SessionTicket; timeoutMs: number } | null> {
    const socket = await this.#dial();
    const answer = new Promise<Buffer>((resolve, reject) => {
      this.#connected = resolve;
      this.#asked.push({ xid: Number.NaN, change: false, answered: ignore, failed: reject });
    });
    const late = this.#options.clock.after(OPEN_MS, () => this.fail(lostError(this.address, "gets no answer")));
    socket.write(encodeConnect(ticket, timeoutMs));
    const frame = await answer.finally(late);
    const connected = this.#decoded(() => decodeConnected(frame));
    if (connected === undefined) throw this.failure ?? lostError(this.address, "was closed");
    if (connected.timeoutMs <= 0) {
      this.close();
      return null;
    }
    if (connected.readOnly) {
      this.fail(lostError(this.address, "is to a server that only reads, for it has lost the others"));
      throw this.failure ?? lostError(this.address, "was closed");
    }
    await this.#logIn();
    this.#beatSoon();
    return connected;
  }

  /** Null: it is not there. */
  exists(path: string): Promise<Stat | null> {
    return this.#find("exists", path, decodeStat);
  }

  get(path: string): Promise<NodeData | null> {
    return this.#find("get", path, decodeData);
  }

  children(path: string): Promise<readonly string[] | null> {
    return this.#find("children", path, decodeNames);
  }

  /** What a node holds, and the last transaction that the server had carried out when it was asked. */
  look(path: string): Promise<{ readonly node: NodeData | null; readonly zxid: bigint }> {
    return this.#ask({ op: "get", path }, ({ zxid, error }, reader) => {
      if (error !== 0 && error !== REFUSED.noNode) throw refusalOf(error, this.address, `to read ${path}`);
      return { node: error === 0 ? decodeData(reader) : null, zxid };
    });
  }

  /** The names below a node, where wanted, and what others hold, all at one moment. */
  async readMany(children: string | null, paths: readonly string[]): Promise<ManyRead> {
    const withNames = children !== null;
    const request = { op: "multiRead" as const, children, paths };
    const read = await this.#ask(request, (_, reader) => decodeManyRead(reader, withNames));
    if (read.refused !== 0) throw refusalOf(read.refused, this.address, `to read ${children ?? paths[0]}`);
    return read;
  }

  /** Tells of every change of a path and what is below it, until the connection ends. */
  async addWatch(path: string): Promise<void> {
    await this.#do({ op: "addWatch", path }, `to watch ${path}`);
  }

  sync(path: string): Promise<void> {
    return this.#do({ op: "sync", path }, `to sync ${path}`);
  }

  /** Carries changes out, all or none. Rejects with OUTCOME_UNKNOWN when the connection ends before the answer. */
  change(...changes: readonly Change[]): Promise<Outcome> {
    return this.#ask({ op: "multi", changes }, ({ zxid, error }, reader) => {
      const refused = error !== 0 && reader.left === 0 ? { index: 0, code: error } : decodeChanges(reader);
      if (refused === null) return { zxid };
      const { index, code } = refused;
      if (EXPECTED.has(code)) return { zxid: null, index, code };
      throw refusalOf(code, this.address, `to change ${changes[index]?.path ?? "it"}`);
    });
  }

  /**
   * Writes to a node, which takes a majority of the servers, so that what this connection reads from now on is as new as anything that was acknowledged before: sync alone does not ask the others
   * whether the leader still is one. Shared by all who ask before it goes out, and by nobody after: the server may have made it before what they must see.
   */
  barrier(path: string): Promise<bigint> {
    if (this.#barrier !== null) return this.#barrier;
    const change = { op: "set" as const, path, data: new Uint8Array(0), version: -1 };
    const made = this.change(change).then(
      (outcome) => {
        if (outcome.zxid === null) throw this.foldersGone();
        return outcome.zxid;
      },
      (error) => {
        // Nothing is lost if it was made, or is made again.
        throw error instanceof WeftError && error.reason === "OUTCOME_UNKNOWN" ? error.cause : error;
      },
    );
    this.#barrier = made;
    return made;
  }

  /** Somebody deleted what belongs there: the next connection makes it again. */
  foldersGone(): WeftError {
    const failure = lostError(this.address, "finds nodes gone that belong to weft");
    this.fail(failure);
    return failure;
  }

  /** Ends the session: what lives as long as it goes at once. */
  async endSession(): Promise<void> {
    const late = this.#options.clock.after(END_MS, () => this.close());
    await this.#ask({ op: "close" }, ignore).catch(ignore);
    late();
    this.close();
  }

  fail(failure: WeftError): void {
    if (this.#over) return;
    this.failure = failure;
    this.close();
    this.#options.onEnd(failure);
  }

  close(): void {
    if (this.#over) return;
    this.#over = true;
    this.#stopBeating();
    this.#socket?.destroy();
    const failure = this.failure ?? lostError(this.address, "was closed");
    const asked = this.#asked.slice(this.#first);
    this.#asked = [];
    this.#first = 0;
    for (const { change, failed } of asked) failed(change ? unknownOutcome(failure) : failure);
  }

  async #dial(): Promise<Socket> {
    const { tls, clock } = this.#options;
    const socket = await dial(this.address, tls);
    if (this.#over) {
      socket.destroy();
      throw lostError(this.address, "was closed");
    }
    this.#socket = socket;
    socket.setNoDelay(true);
    return await new Promise((resolve, reject) => {
      const failed = (error: WeftError): void => {
        late();
        this.fail(error);
        reject(error);
      };
      const late = clock.after(OPEN_MS, () => failed(lostError(this.address, "could not be made in time")));
      socket.once(tls === null ? "connect" : "secureConnect", () => {
        late();
        resolve(socket);
      });
      socket.on("error", (cause: NodeJS.ErrnoException) =>
        failed(lostError(this.address, `failed (${cause.code ?? cause.message})`, cause)),
      );
      socket.on("close", () => failed(lostError(this.address, "was closed by it")));
      socket.on("data", (chunk) => this.#take(chunk));
    });
  }

  async #logIn(): Promise<void> {
    const { login } = this.#options;
    if (login === null) return;
    const code = await new Promise<number>((resolve, reject) => {
      const late = this.#options.clock.after(OPEN_MS, () => this.fail(lostError(this.address, "gets no answer")));
      const answered = ({ error }: ReplyHeader): void => {
        late();
        resolve(error);
      };
      this.#asked.push({ xid: XID.auth, change: false, answered, failed: reject });
      this.#write(encodeAuth("digest", Buffer.from(`${login.name}:${login.password}`)));
    });
    if (code !== 0) throw refusalOf(REFUSED.authFailed, this.address, `the user "${login.name}"`);
  }

  /** `decode` throws what is refused; what else it throws is an answer that cannot be read. */
  #ask<T>(request: Request, decode: (header: ReplyHeader, reader: JuteReader) => T): Promise<T> {
    if (this.#over || this.#socket === null)
      return Promise.reject(this.failure ?? lostError(this.address, "is closed"));
    return new Promise<T>((resolve, reject) => {
      const xid = (this.#xid = (this.#xid % 0x7fff_ffff) + 1);
      const change = request.op === "multi";
      const answered = (header: ReplyHeader, reader: JuteReader): void => {
        try {
          resolve(decode(header, reader));
        } catch (thrown) {
          if (thrown instanceof WeftError && thrown.code !== "unavailable") return reject(thrown);
          const failure = thrown instanceof WeftError ? thrown : notUnderstood(this.address, thrown);
          reject(change && !(thrown instanceof WeftError) ? unknownOutcome(failure) : failure);
          this.fail(failure);
        }
      };
      this.#asked.push({ xid, change, answered, failed: reject });
      this.#write(encodeRequest(xid, request));
    });
  }

  /** As #ask, for what may not be there. */
  #find<T>(op: "exists" | "get" | "children", path: string, decode: (reader: JuteReader) => T): Promise<T | null> {
    return this.#ask({ op, path }, ({ error }, reader) => {
      if (error === REFUSED.noNode) return null;
      if (error !== 0) throw refusalOf(error, this.address, `to read ${path}`);
      return decode(reader);
    });
  }

  async #do(request: Request, what: string): Promise<void> {
    await this.#ask(request, ({ error }) => {
      if (error !== 0) throw refusalOf(error, this.address, what);
    });
  }

  /** All that is written in one turn goes out at once. */
  #write(frame: Buffer): void {
    const socket = this.#socket;
    if (socket === null) return;
    if (!this.#corked) {
      this.#corked = true;
      socket.cork();
      process.nextTick(() => {
        this.#corked = false;
        this.#barrier = null;
        socket.uncork();
      });
    }
    socket.write(frame);
  }

  #take(chunk: Buffer): void {
    if (this.#over) return;
    this.#heardAt = this.#options.clock.now();
    this.#decoded(() => {
      for (const frame of this.#frames.take(chunk)) {
        if (this.#over) return;
        if (this.#connected !== null) {
          this.#first++;
          const connected = this.#connected;
          this.#connected = null;
          connected(frame);
        } else this.#answer(new JuteReader(frame));
      }
    });
  }

  #answer(reader: JuteReader): void {
    const header = decodeReplyHeader(reader);
    if (header.xid === XID.watch) {
      this.#options.onWatch(decodeWatchEvent(reader));
      return;
    }
    const asked = this.#asked[this.#first];
    if (asked === undefined || asked.xid !== header.xid) throw new RangeError(`an answer to ${header.xid}`);
    if (++this.#first > 1_000 && this.#first * 2 > this.#asked.length) {
      this.#asked.splice(0, this.#first);
      this.#first = 0;
    }
    asked.answered(header, reader);
  }

  /** What cannot be decoded ends the connection: undefined. */
  #decoded<T>(decode: () => T): T | undefined {
    try {
      return decode();
    } catch (cause) {
      if (!(cause instanceof RangeError)) throw cause;
      this.fail(notUnderstood(this.address, cause));
      return undefined; // everybody who waits was told of the failure
    }
  }

  /** Asks for a sign of life, so that a server which stands still, cannot be reached or has lost the others is noticed; the session is kept by it, too. */
  #beatSoon(): void {
    const { clock, onBeat } = this.#options;
    this.#stopBeating = clock.after(BEAT_MS, () => {
      if (this.#over) return;
      const now = clock.now();
      if (this.#beatAt === null) {
        this.#beatAt = now;
        this.sync("/").then(() => {
          this.#beatAt = null;
          if (!this.#over) onBeat();
        }, ignore);
      }
      // An answer may be behind a long one that is still coming.
      const silentMs = now - Math.max(this.#beatAt, this.#heardAt);
      if (silentMs > SILENT_MS) {
        this.fail(lostError(this.address, `has been silent for ${Math.round(silentMs)} ms`));
        return;
      }
      this.#beatSoon();
    });
  }
}

interface Asked {
  readonly xid: number;
  readonly change: boolean;
  readonly answered: (header: ReplyHeader, reader: JuteReader) => void;
  readonly failed: (error: WeftError) => void;
}

function notUnderstood(address: string, cause: unknown): WeftError {
  const what = cause instanceof Error ? cause.message : "";
  return lostError(address, `brought what is no answer of ZooKeeper's (${what})`, cause);
}

function ignore(): void {}

/** What a caller of change() does something with. */
const EXPECTED: ReadonlySet<number> = new Set([REFUSED.noNode, REFUSED.badVersion, REFUSED.nodeExists]);
/** Of making a connection, of its session, and of its login. */
const OPEN_MS = 2_500;
const END_MS = 500;
const BEAT_MS = 500;
const SILENT_MS = 2_500;
/** The names of 500,000 endpoints, or 100 values of the largest size. */
const MAX_FRAME_BYTES = 67_108_864;
