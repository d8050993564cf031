import type { Socket } from "node:net";
import type { ConnectionHost, ConnectionMachine } from "../wire/connection.ts";
import type { PeerInfo } from "../wire/stream.ts";
import type { Loop } from "./loop.ts";

/**
 * The shell of one connection: a socket on one side, a machine on the other. It reads for the machine, writes its output once a turn,
 * stops when the kernel takes no more, and ends or cuts the socket when the machine wishes.
 *
 *     open --wantsClose, all written--> ending --peer's FIN, or 2 s--> closed
 *       \------------------ socket error, destroy() --------------------->
 *
 * Ending (servers only; clients close at once): our FIN is sent, and what the peer still sends is read and dropped. Closing with bytes
 * unread would make the kernel answer with a reset, which can destroy our last response before the peer has read it.
 *
 * 1. At most one write is under way; the machine's output waits for it (that is the backpressure that reaches the streams).
 * 2. The machine hears transportClosed exactly once, and nothing after it.
 * 3. An exception out of the machine (a bug above it) costs this connection, nothing else.
 */
export class SocketConnection implements ConnectionHost {
  readonly socket: Socket;
  readonly peer: PeerInfo;
  /** Null until the protocol is known. */
  machine: ConnectionMachine | null = null;
  readonly #loop: Loop;
  readonly #owner: SocketConnectionOwner;
  readonly #lingers: boolean;
  readonly #stallTimeoutMs: number;
  #queued = false;
  #writing = false;
  /** The tick that first saw the write that is under way; -1 when there is none. */
  #writingSince = -1;
  #paused = false;
  #ending = false;
  #endingSince = -1;
  #peerEnded = false;
  #closed = false;
  #error = "";

  constructor(
    loop: Loop,
    socket: Socket,
    owner: SocketConnectionOwner,
    peer: PeerInfo,
    lingers: boolean,
    stallTimeoutMs: number,
  ) {
    this.#lingers = lingers;
    this.#stallTimeoutMs = stallTimeoutMs;
    this.#loop = loop;
    this.peer = peer;
    this.socket = socket;
    this.#owner = owner;
    socket.on("error", (error) => {
      if (this.#error === "") this.#error = error.message;
    });
    socket.on("end", () => this.#onEnd());
    socket.on("close", () => this.#onClose());
    loop.add(this);
  }

  get closed(): boolean {
    return this.#closed;
  }

  /** Bytes [start, end) of `chunk` came from the socket. False: stop reading (flush() will start it again). */
  receive(chunk: Uint8Array, start: number, end: number): boolean {
    const machine = this.machine;
    if (machine === null || this.#closed || this.#ending) return true;
    try {
      machine.receive(chunk, start, end);
    } catch (thrown) {
      this.fail(thrown);
      return true;
    }
    if (machine.wantsRead) return true;
    this.#paused = true;
    return false;
  }

  wake(): void {
    if (this.#queued) return;
    this.#queued = true;
    this.#loop.enqueue(this);
  }

  flush(): void {
    this.#queued = false;
    const machine = this.machine;
    if (machine === null || this.#closed) return;
    try {
      if (!this.#writing && !this.#ending && machine.pendingBytes > 0) this.#write(machine);
      if (machine.wantsRead === this.#paused) this.#setPaused(!machine.wantsRead);
      if (machine.wantsClose && !this.#writing && !this.#ending && machine.pendingBytes === 0) this.#end();
    } catch (thrown) {
      this.fail(thrown);
    }
  }

  tick(now: number): void {
    if (this.#ending) {
      if (this.#endingSince < 0) this.#endingSince = now;
      else if (now - this.#endingSince >= LINGER_MS) this.socket.destroy();
      return;
    }
    if (this.machine === null) return this.#owner.onTickUndecided(this, now);
    if (this.#writing) {
      if (this.#writingSince < 0) this.#writingSince = now;
      else if (now - this.#writingSince >= this.#stallTimeoutMs) return this.destroy("the peer does not read");
    }
    try {
      this.machine.tick(now);
    } catch (thrown) {
      this.fail(thrown);
    }
  }

  /** Gives the socket to somebody else, before a protocol was chosen: nothing more is done with it here. */
  release(): void {
    this.#closed = true;
    this.socket.removeAllListeners("error").removeAllListeners("end").removeAllListeners("close");
    this.#loop.remove(this);
    this.#owner.onClosed(this, "");
  }

  /** Cuts the connection because of an error on our side. */
  fail(thrown: unknown): void {
    this.#owner.onError(this, thrown instanceof Error ? (thrown.stack ?? thrown.message) : String(thrown));
    this.destroy("internal error");
  }

  /** Cuts the connection; `message` is what open streams are told. */
  destroy(message: string): void {
    if (this.#error === "") this.#error = message;
    this.socket.destroy();
  }

  #write(machine: ConnectionMachine): void {
    const socket = this.socket;
    socket.write(machine.takeOutput());
    if (socket.writableLength === 0) return machine.written();
    // The kernel is full. An empty write behind the real one reports when that is through, whatever the socket's high-water mark.
    this.#writing = true;
    socket.write(NOTHING, this.#onWritten);
  }

  readonly #onWritten = (error?: Error | null): void => {
    this.#writing = false;
    this.#writingSince = -1;
    if (error || this.#closed || this.machine === null) return;
    try {
      this.machine.written();
    } catch (thrown) {
      this.fail(thrown);
    }
    this.wake();
  };

  #setPaused(paused: boolean): void {
    this.#paused = paused;
    if (paused) this.socket.pause();
    else this.socket.resume();
  }

  #end(): void {
    this.#ending = true;
    if (this.#paused) this.#setPaused(false);
    if (this.#lingers && !this.#peerEnded) this.socket.end();
    else this.socket.destroySoon();
  }

  #onEnd(): void {
    this.#peerEnded = true;
    if (this.machine === null) {
      this.socket.destroy();
      return;
    }
    if (this.#ending) return;
    try {
      this.machine.receiveEnd();
    } catch (thrown) {
      this.fail(thrown);
    }
    this.wake();
  }

  #onClose(): void {
    this.#closed = true;
    this.#loop.remove(this);
    const message = this.#error;
    try {
      this.machine?.transportClosed(message);
    } catch (thrown) {
      this.#owner.onError(this, thrown instanceof Error ? (thrown.stack ?? thrown.message) : String(thrown));
    }
    this.#owner.onClosed(this, message);
  }
}

export interface SocketConnectionOwner {
  /** The socket is gone; the machine has been told. `message` is "" after an orderly close. */
  onClosed(connection: SocketConnection, message: string): void;
  /** Something above the machine threw; the connection is being cut. */
  onError(connection: SocketConnection, message: string): void;
  /** A tick while the protocol is not known yet. */
  onTickUndecided(connection: SocketConnection, now: number): void;
}

const LINGER_MS = 2_000;
const NOTHING = Buffer.alloc(0);
