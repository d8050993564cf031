import { connect } from "node:net";
import { PREFACE } from "./preface.ts";

/**
 * Finds out what listens at a plain address: sends HTTP/2's preface with empty SETTINGS, which an HTTP/2 server answers with its own (RFC 9113 section 3.4). Whoever
 * answers otherwise, or with nothing in time, is taken for HTTP/1.1. Null: no connection could be made.
 */
export function detectProtocol(host: string, port: number, timeoutMs: number): Promise<"h2c" | "http1" | null> {
  return new Promise((resolve) => {
    const socket = connect({ host, port });
    let connected = false;
    let received = Buffer.alloc(0);
    const done = (protocol: "h2c" | "http1" | null): void => {
      clearTimeout(timer);
      socket.destroy();
      resolve(protocol);
    };
    const timer = setTimeout(() => done(connected ? "http1" : null), timeoutMs);
    socket.once("connect", () => {
      connected = true;
      socket.write(Buffer.concat([PREFACE, EMPTY_SETTINGS]));
    });
    socket.on("data", (chunk: Buffer) => {
      received = Buffer.concat([received, chunk]);
      if (received.length >= 9) done(received[3] === SETTINGS && received.readUInt32BE(5) === 0 ? "h2c" : "http1");
    });
    socket.on("end", () => done("http1"));
    socket.on("error", () => done(connected ? "http1" : null));
  });
}

const SETTINGS = 4;
const EMPTY_SETTINGS = Buffer.from([0, 0, 0, SETTINGS, 0, 0, 0, 0, 0]);
