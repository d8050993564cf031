import { systemClock } from "../../src/core/clock.ts";
import { ZookeeperConnection } from "../../src/drivers/zookeeper/zookeeper-connection.ts";
import type { SessionTicket } from "../../src/drivers/zookeeper/zookeeper-messages.ts";

/** The ids of endpoints that a server itself holds. */
export async function keptEndpoints(address: string, system: string): Promise<readonly string[]> {
  const connection = await connect(address);
  const names = await connection.children(`/weft/${system}/endpoints`);
  await connection.endSession();
  return (names ?? []).map(decodeURIComponent);
}

/** A session that is nobody's, or that of a ticket. */
export async function connect(
  address: string,
  ticket: SessionTicket = { id: 0n, password: new Uint8Array(16) },
): Promise<ZookeeperConnection> {
  const ignore = (): void => {};
  const told = { onWatch: ignore, onBeat: ignore, onEnd: ignore };
  const connection = new ZookeeperConnection({ address, login: null, tls: null, clock: systemClock, ...told });
  if ((await connection.open(ticket, 5_000)) === null) throw new Error("the session is over");
  return connection;
}
