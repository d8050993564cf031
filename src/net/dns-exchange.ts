import { createSocket } from "node:dgram";
import { connect, isIPv6 } from "node:net";
import { FrameReader } from "../wire/dns/frame-reader.ts";

/**
 * Asks another DNS server, over a socket of this query's own (so that its port cannot be guessed). `takes` judges an answer with the query's id: of those that it does not take
 * (somebody guesses) the next is waited for. Null: no answer to it in time. Never rejects.
 */
export function askDnsServer(
  { host, port }: { readonly host: string; readonly port: number },
  query: Uint8Array,
  over: "udp" | "tcp",
  timeoutMs = 2_000,
  takes: (answer: Uint8Array) => boolean = all,
): Promise<Uint8Array | null> {
  return over === "udp" ? askUdp(host, port, query, timeoutMs, takes) : askTcp(host, port, query, timeoutMs, takes);
}

function all(): boolean {
  return true;
}

function askUdp(
  host: string,
  port: number,
  query: Uint8Array,
  timeoutMs: number,
  takes: (answer: Uint8Array) => boolean,
): Promise<Uint8Array | null> {
  return new Promise((resolve) => {
    const socket = createSocket(isIPv6(host) ? "udp6" : "udp4");
    const done = (answer: Uint8Array | null): void => {
      clearTimeout(timer);
      socket.removeAllListeners("message");
      socket.close();
      resolve(answer);
    };
    const timer = setTimeout(() => done(null), timeoutMs);
    socket.once("error", () => done(null));
    // Not by a callback of connect(): that one is called, too, when there is no way to the server, and then nothing can be sent.
    socket.once("connect", () => {
      socket.on("message", (answer) => {
        if (answers(answer, query) && takes(answer)) done(answer);
      });
      socket.send(query, () => {});
    });
    // A connected socket hears of its peer alone, and of nobody listening there.
    socket.connect(port, host);
  });
}

function askTcp(
  host: string,
  port: number,
  query: Uint8Array,
  timeoutMs: number,
  takes: (answer: Uint8Array) => boolean,
): Promise<Uint8Array | null> {
  return new Promise((resolve) => {
    const reader = new FrameReader(65_535);
    const socket = connect({ host, port });
    const done = (answer: Uint8Array | null): void => {
      clearTimeout(timer);
      socket.destroy();
      resolve(answer);
    };
    const timer = setTimeout(() => done(null), timeoutMs);
    socket.on("error", () => done(null));
    socket.on("close", () => done(null));
    socket.on("connect", () => {
      const framed = Buffer.allocUnsafe(2 + query.length);
      framed.writeUInt16BE(query.length);
      framed.set(query, 2);
      socket.write(framed);
    });
    socket.on("data", (chunk) => {
      for (let at = 0; at < chunk.length; ) {
        const { message, at: next, failed } = reader.next(chunk, at, chunk.length);
        at = next;
        if (failed || message !== null)
          return done(message !== null && answers(message, query) && takes(message) ? message.slice() : null);
      }
    });
  });
}

/** A response with the query's id. The question is not compared: a client does that itself, in the case in which it asked. */
function answers(answer: Uint8Array, query: Uint8Array): boolean {
  return answer.length >= 12 && answer[0] === query[0] && answer[1] === query[1] && (answer[2] & 0x80) !== 0;
}
