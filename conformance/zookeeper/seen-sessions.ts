import { JuteFrames } from "../../src/drivers/zookeeper/jute.ts";
import { decodeConnected, type SessionTicket } from "../../src/drivers/zookeeper/zookeeper-messages.ts";

/** What a line before a ZooKeeper hears of sessions. */
export class SeenSessions {
  /** Of whoever connected last. */
  ticket: SessionTicket | null = null;
  /** Sessions that were made or taken up: their ids, one after the other. */
  readonly ids: bigint[] = [];

  /** For each connection: it begins with what the server says of its session. */
  readonly hear = (): ((bytes: Buffer) => void) => {
    const frames = new JuteFrames(1_000_000);
    let first = true;
    return (bytes) => {
      if (!first) return;
      for (const frame of frames.take(bytes).slice(0, 1)) {
        first = false;
        const { ticket, timeoutMs } = decodeConnected(frame);
        if (timeoutMs === 0) continue;
        this.ticket = ticket;
        this.ids.push(ticket.id);
      }
    };
  };
}
