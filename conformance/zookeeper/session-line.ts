import { once } from "node:events";
import { connect, createServer, type Server, type Socket } from "node:net";
import { JuteFrames } from "../../src/drivers/zookeeper/jute.ts";
import { decodeConnected, type SessionTicket } from "../../src/drivers/zookeeper/zookeeper-messages.ts";

/** A TCP proxy before a ZooKeeper that learns the session of whoever connects last. */
export class SessionLine {
  readonly port: number;
  readonly #server: Server;
  readonly #sockets = new Set<Socket>();
  ticket: SessionTicket | null = null;
  /** Sessions that were made or taken up: their ids, one after the other. */
  readonly ids: bigint[] = [];

  static async open(target: number): Promise<SessionLine> {
    const server = createServer();
    server.listen(0, "127.0.0.1");
    await once(server, "listening");
    return new SessionLine(server, target);
  }

  private constructor(server: Server, target: number) {
    this.#server = server;
    this.port = (server.address() as { port: number }).port;
    server.on("connection", (down) => {
      const up = connect(target, "127.0.0.1");
      const frames = new JuteFrames(1_000_000);
      let first = true;
      up.on("data", (bytes) => {
        if (!first) return;
        for (const frame of frames.take(bytes).slice(0, 1)) {
          first = false;
          const { ticket, timeoutMs } = decodeConnected(frame);
          if (timeoutMs === 0) continue;
          this.ticket = ticket;
          this.ids.push(ticket.id);
        }
      });
      for (const [from, to] of [
        [down, up],
        [up, down],
      ] as const) {
        this.#sockets.add(from);
        from.setNoDelay(true);
        from.on("data", (bytes) => to.write(bytes));
        from.on("error", () => to.destroy());
        from.on("close", () => {
          this.#sockets.delete(from);
          to.destroy();
        });
      }
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
}
