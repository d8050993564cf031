import { createSocket } from "node:dgram";
import { readFileSync } from "node:fs";
import { connect, createServer, isIPv6 } from "node:net";
import type { Protocol } from "../core/endpoint.ts";

/**
 * What answers at a port of 127.0.0.1: "h2c" when it speaks HTTP/2 with prior knowledge (as gRPC servers do), "http1" when anything else
 * accepts the connection, null when nobody does.
 *
 * A client's HTTP/2 preface (RFC 9113 section 3.4) is sent. An HTTP/2 server answers with a SETTINGS frame; to any other it is a
 * malformed request, which is answered with an error or the end of the connection. Who is silent for so long is most often busy beginning; what it is taken for it stays.
 */
export function probePort(port: number, timeoutMs = 5_000): Promise<Protocol | null> {
  return new Promise((resolve) => {
    let connected = false;
    const socket = connect({ host: "127.0.0.1", port });
    const done = (protocol: Protocol | null): void => {
      socket.destroy();
      resolve(protocol);
    };
    socket.setTimeout(timeoutMs, () => done(connected ? "http1" : null));
    socket.on("connect", () => {
      connected = true;
      socket.write(PREFACE);
    });
    socket.on("data", (chunk) =>
      done(chunk.length > 3 && chunk[3] === SETTINGS && !chunk.subarray(0, 5).equals(HTTP1) ? "h2c" : "http1"),
    );
    socket.on("error", () => done(connected ? "http1" : null));
    socket.on("close", () => done(connected ? "http1" : null));
  });
}

/** The protocol once something listens at a port of 127.0.0.1 for it, null before; nothing is sent, since who speaks first is not known. */
export function probeFor<P extends Protocol>(protocol: P, port: number, timeoutMs = 1_000): Promise<P | null> {
  return new Promise((resolve) => {
    if (protocol === "udp") {
      const held = heldByUdp(port);
      if (held !== null) return resolve(held ? protocol : null);
      // Whoever holds it keeps others from it.
      const socket = createSocket("udp4");
      socket.once("error", () => {
        socket.close();
        resolve(protocol);
      });
      socket.bind({ address: "127.0.0.1", port, exclusive: true }, () => socket.close(() => resolve(null)));
      return;
    }
    const socket = connect({ host: "127.0.0.1", port });
    const done = (found: P | null): void => {
      socket.destroy();
      resolve(found);
    };
    socket.setTimeout(timeoutMs, () => done(null));
    socket.on("connect", () => done(protocol));
    socket.on("error", () => done(null));
  });
}

/** Whether Linux's tables have a UDP socket with the port; null where there are none. To bind it, if only to see, keeps it from the program that is about to. */
function heldByUdp(port: number): boolean | null {
  const end = `:${port.toString(16).toUpperCase().padStart(4, "0")}`;
  let held: boolean | null = null;
  for (const table of ["/proc/net/udp", "/proc/net/udp6"]) {
    try {
      for (const line of readFileSync(table, "latin1").split("\n"))
        held ||= line.trim().split(/\s+/)[1]?.endsWith(end) === true;
    } catch {} // another system, or one without IPv6
  }
  return held;
}

/** Why one cannot listen at an address now ("EADDRINUSE"), or null when one can. */
export function listenProblem(host: string, port: number): Promise<string | null> {
  return new Promise((resolve) => {
    const server = createServer();
    server.on("error", (error: NodeJS.ErrnoException) => resolve(error.code ?? error.message));
    server.listen(port, host, () => server.close(() => resolve(null)));
  });
}

/** The same for UDP. */
export function bindProblem(host: string, port: number): Promise<string | null> {
  return new Promise((resolve) => {
    const socket = createSocket(isIPv6(host) ? "udp6" : "udp4");
    socket.on("error", (error: NodeJS.ErrnoException) => {
      socket.close();
      resolve(error.code ?? error.message);
    });
    socket.bind({ address: host, port, exclusive: true }, () => socket.close(() => resolve(null)));
  });
}

const SETTINGS = 4;
const HTTP1 = Buffer.from("HTTP/");
const PREFACE = Buffer.concat([
  Buffer.from("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"),
  Buffer.from([0, 0, 0, SETTINGS, 0, 0, 0, 0, 0]),
]);
