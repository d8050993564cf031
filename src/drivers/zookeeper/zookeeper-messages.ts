import { JuteReader, JuteWriter } from "./jute.ts";

/** What is said to a ZooKeeper server and what it answers. Source: zookeeper.jute, ZooDefs and MultiOperationRecord of Apache ZooKeeper 3.8. */
export interface Stat {
  /** The transaction that made the node. */
  readonly czxid: bigint;
  /** The transaction that wrote it last: another one after every change, also when the node was deleted in between. */
  readonly mzxid: bigint;
  /** When it was made, ms since the Unix epoch by its server's clock. */
  readonly ctime: bigint;
  /** How often it was written since it was made: begins at 0 again with a node of the same name. */
  readonly version: number;
  /** The session that it ends with; 0: it stays. */
  readonly ephemeralOwner: bigint;
}

/** A node and what it holds. */
export interface NodeData {
  readonly data: Uint8Array;
  readonly stat: Stat;
}

/** Who may do everything with a node: everybody, or whoever is logged in as its maker. */
export type Access = "anyone" | "creator";

/** A part of a transaction. `version` -1: whatever it is. */
export type Change =
  | {
      readonly op: "create";
      readonly path: string;
      readonly data: Uint8Array;
      readonly ephemeral: boolean;
      readonly access: Access;
    }
  | { readonly op: "delete"; readonly path: string; readonly version: number }
  | { readonly op: "set"; readonly path: string; readonly data: Uint8Array; readonly version: number }
  | { readonly op: "check"; readonly path: string; readonly version: number };

export type Request =
  | { readonly op: "exists" | "get" | "children" | "sync" | "addWatch"; readonly path: string }
  | { readonly op: "multi"; readonly changes: readonly Change[] }
  /** Of a node the names below it, where wanted, and of others what they hold, all at one moment. */
  | { readonly op: "multiRead"; readonly children: string | null; readonly paths: readonly string[] }
  | { readonly op: "close" };

/** A code of ZooKeeper's errors that a caller does something with. */
export const REFUSED = {
  unimplemented: -6,
  noNode: -101,
  noAuth: -102,
  badVersion: -103,
  nodeExists: -110,
  sessionExpired: -112,
  authFailed: -115,
  sessionMoved: -118,
} as const;

const CODES = {
  exists: 3,
  get: 4,
  children: 8,
  sync: 9,
  check: 13,
  multi: 14,
  create: 1,
  delete: 2,
  set: 5,
  multiRead: 22,
  addWatch: 106,
  auth: 100,
  close: -11,
  error: -1,
} as const;

/** Ids of what is no answer to a request of ours. */
export const XID = { watch: -1, auth: -4 } as const;

export interface SessionTicket {
  readonly id: bigint;
  /** 16 bytes that only its holder knows. */
  readonly password: Uint8Array;
}

/** The first that is said. Id 0: a new session. Servers that only read are not wanted. */
export function encodeConnect(ticket: SessionTicket, timeoutMs: number): Buffer {
  // The last transaction that was seen is left out: a server whose data are lost would refuse whoever has seen more. Who connects makes a transaction first instead.
  const writer = new JuteWriter().int(0).long(0n).int(timeoutMs).long(ticket.id).buffer(ticket.password);
  return writer.bool(false).frame();
}

export interface Connected {
  readonly ticket: SessionTicket;
  /** As the server grants it; 0: the session is over. */
  readonly timeoutMs: number;
  readonly readOnly: boolean;
}

/** What a server answers to who connects; a session id of 0: the session asked for is over. */
export function decodeConnected(frame: Buffer): Connected {
  const reader = new JuteReader(frame);
  reader.int(); // protocol version
  const timeoutMs = reader.int();
  const id = reader.long();
  const password = reader.buffer();
  return { ticket: { id, password }, timeoutMs: id === 0n ? 0 : timeoutMs, readOnly: reader.left > 0 && reader.bool() };
}

/** Says who asks, before anything else is asked. */
export function encodeAuth(scheme: string, auth: Uint8Array): Buffer {
  return new JuteWriter().int(XID.auth).int(CODES.auth).int(0).text(scheme).buffer(auth).frame();
}

export function encodeRequest(xid: number, request: Request): Buffer {
  const writer = new JuteWriter().int(xid).int(CODES[request.op]);
  switch (request.op) {
    case "exists":
    case "get":
    case "children":
      writer.text(request.path).bool(false);
      break;
    case "sync":
      writer.text(request.path);
      break;
    case "addWatch":
      writer.text(request.path).int(PERSISTENT_RECURSIVE);
      break;
    case "multi":
      for (const change of request.changes) writeChange(writer.int(CODES[change.op]).bool(false).int(-1), change);
      writer.int(-1).bool(true).int(-1);
      break;
    case "multiRead":
      if (request.children !== null) writer.int(CODES.children).bool(false).int(-1).text(request.children).bool(false);
      for (const path of request.paths) writer.int(CODES.get).bool(false).int(-1).text(path).bool(false);
      writer.int(-1).bool(true).int(-1);
      break;
  }
  return writer.frame();
}

function writeChange(writer: JuteWriter, change: Change): void {
  writer.text(change.path);
  switch (change.op) {
    case "create":
      writer.buffer(change.data).int(1).int(ALL_RIGHTS);
      if (change.access === "creator") writer.text("auth").text("");
      else writer.text("world").text("anyone");
      writer.int(change.ephemeral ? 1 : 0);
      break;
    case "set":
      writer.buffer(change.data).int(change.version);
      break;
    default:
      writer.int(change.version);
  }
}

/** What each answer begins with. */
export interface ReplyHeader {
  readonly xid: number;
  readonly zxid: bigint;
  /** 0, or one of ZooKeeper's codes. */
  readonly error: number;
}

export function decodeReplyHeader(reader: JuteReader): ReplyHeader {
  return { xid: reader.int(), zxid: reader.long(), error: reader.int() };
}

/** A change of a node that is watched. */
export interface WatchEvent {
  readonly kind: "created" | "deleted" | "changed" | "other";
  readonly path: string;
}

export function decodeWatchEvent(reader: JuteReader): WatchEvent {
  const kind = EVENTS[reader.int()] ?? "other";
  reader.int(); // state
  return { kind, path: reader.text() };
}

export function decodeStat(reader: JuteReader): Stat {
  const czxid = reader.long();
  const mzxid = reader.long();
  const ctime = reader.long();
  reader.long(); // mtime
  const version = reader.int();
  reader.int(); // cversion
  reader.int(); // aversion
  const ephemeralOwner = reader.long();
  reader.int(); // length
  reader.int(); // children
  reader.long(); // pzxid
  return { czxid, mzxid, ctime, version, ephemeralOwner };
}

export function decodeData(reader: JuteReader): NodeData {
  return { data: reader.buffer(), stat: decodeStat(reader) };
}

export function decodeNames(reader: JuteReader): string[] {
  return reader.list(() => reader.text());
}

/** Which part of a transaction was refused, and why; null: none was. */
export function decodeChanges(reader: JuteReader): { readonly index: number; readonly code: number } | null {
  let refused: { index: number; code: number } | null = null;
  for (let index = 0; ; index++) {
    const type = reader.int();
    const done = reader.bool();
    reader.int();
    if (done) return refused;
    if (type === CODES.error) {
      const code = reader.int();
      // Those before it say 0, those after it that they are not reached.
      if (code !== 0 && refused === null) refused = { index, code };
    } else if (type === CODES.create) reader.text();
    else if (type === CODES.set) decodeStat(reader);
    else if (type !== CODES.delete && type !== CODES.check)
      throw new RangeError(`a transaction's answer of kind ${type}`);
  }
}

/** Null: the node is not there. `refused`: a code that is another one. */
export interface ManyRead {
  /** Null where they were not wanted, too. */
  readonly names: readonly string[] | null;
  readonly nodes: readonly (NodeData | null)[];
  readonly refused: number;
}

export function decodeManyRead(reader: JuteReader, withNames: boolean): ManyRead {
  let names: readonly string[] | null = null;
  const nodes: (NodeData | null)[] = [];
  let refused = 0;
  for (let index = 0; ; index++) {
    const type = reader.int();
    const done = reader.bool();
    reader.int();
    if (done) return { names, nodes, refused };
    if (type === CODES.children) names = decodeNames(reader);
    else if (type === CODES.get) nodes.push(decodeData(reader));
    else if (type === CODES.error) {
      const code = reader.int();
      if (index > 0 || !withNames) nodes.push(null);
      if (code !== REFUSED.noNode) refused = code;
    } else throw new RangeError(`a reading's answer of kind ${type}`);
  }
}

const EVENTS: Readonly<Record<number, WatchEvent["kind"]>> = { 1: "created", 2: "deleted", 3: "changed" };
const PERSISTENT_RECURSIVE = 1;
const ALL_RIGHTS = 31;
