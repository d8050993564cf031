import { once } from "node:events";
import { connect, createServer, type Server, type Socket } from "node:net";

/** A TCP proxy before a server that slows, silences, resets and refuses connections. */
export class HurtLine {
  readonly port: number;
  readonly #server: Server;
  readonly #sockets = new Set<Socket>();
  /** The port to which connections go that are made from now on. */
  target: number;
  /** Each way, ms. */
  delayMs = 0;
  /** Takes bytes, and passes none on. */
  silent = false;
  /** Resets whoever connects. */
  refusing = false;

  /** `hear` is called for each connection, and what it gives with what the server says there. `port`: default one that is free. */
  static async open(target: number, hear?: () => (bytes: Buffer) => void, port = 0): Promise<HurtLine> {
    const server = createServer();
    server.listen(port, "127.0.0.1");
    await once(server, "listening");
    return new HurtLine(server, target, hear);
  }

  private constructor(server: Server, target: number, hear?: () => (bytes: Buffer) => void) {
    this.#server = server;
    this.target = target;
    this.port = (server.address() as { port: number }).port;
    server.on("connection", (down) => {
      if (this.refusing) {
        down.on("error", () => {});
        down.resetAndDestroy();
        return;
      }
      const up = connect(this.target, "127.0.0.1");
      if (hear !== undefined) up.on("data", hear());
      this.#pipe(down, up);
      this.#pipe(up, down);
    });
  }

  get address(): string {
    return `127.0.0.1:${this.port}`;
  }

  reset(): void {
    for (const socket of this.#sockets) socket.resetAndDestroy();
  }

  async close(): Promise<void> {
    for (const socket of this.#sockets) socket.destroy();
    this.#server.close();
    await once(this.#server, "close");
  }

  #pipe(from: Socket, to: Socket): void {
    this.#sockets.add(from);
    from.setNoDelay(true);
    const underWay: Buffer[] = [];
    from.on("data", (bytes) => {
      if (this.silent) return;
      if (this.delayMs === 0 && underWay.length === 0) {
        to.write(bytes);
        return;
      }
      underWay.push(bytes);
      // Whichever timer is over: nothing overtakes what was sent before it, also where the line has become faster.
      setTimeout(() => {
        const first = underWay.shift();
        if (first !== undefined && !to.destroyed) to.write(first);
      }, this.delayMs);
    });
    from.on("error", () => to.destroy());
    from.on("close", () => {
      this.#sockets.delete(from);
      to.destroy();
    });
  }
}
