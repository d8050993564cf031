import { randomInt } from "node:crypto";
import { WeftError } from "../core/errors.ts";
import { bindProblem, listenProblem } from "./probe.ts";
import type { System } from "./resolve-system.ts";

/**
 * Ports of 127.0.0.1 that a host gives to what it starts. Between being found free and being listened on a port looks free to everybody, so a host remembers which it gave: none has two owners. Nor are they
 * any of those that systems choose for connections out (Linux from 32768, others from 49152, RFC 6335), which any connection could have by then, or that the system's description names for
 * what is yet to listen. They follow each other from a random one on, so that hosts that start at the same moment seldom meet.
 */
export class Ports {
  readonly #given: Set<number>;
  #next: number;

  /** `named` are left out. */
  constructor(named: Iterable<number> = [], first: number = randomInt(FIRST_PORT, END_PORT)) {
    this.#given = new Set(named);
    this.#next = first;
  }

  /** One that nobody listens on, by TCP or UDP; it is its owner's until it is released. */
  async take(): Promise<number> {
    for (let tries = FIRST_PORT; tries < END_PORT; tries++) {
      const port = this.#next++;
      if (this.#next === END_PORT) this.#next = FIRST_PORT;
      if (this.#given.has(port)) continue;
      this.#given.add(port);
      if ((await listenProblem(HOST, port)) === null && (await bindProblem(HOST, port)) === null) return port;
      this.#given.delete(port);
    }
    throw new WeftError(
      "resource_exhausted",
      `no port of ${HOST} is free between ${FIRST_PORT} and ${END_PORT - 1} for another process; end what listens there`,
      { reason: "NO_FREE_PORT" },
    );
  }

  release(port: number): void {
    this.#given.delete(port);
  }
}

/** The ports that a system's description names. */
export function namedPorts({ gateway, dns, consul }: Pick<System, "gateway" | "dns" | "consul">): number[] {
  const beside =
    gateway === null ? [] : [gateway.port, gateway.adminPort, ...gateway.listeners.map(({ port }) => port)];
  return [...beside, ...(dns === null ? [] : [dns.port]), ...(consul === null ? [] : [consul.port])];
}

const HOST = "127.0.0.1";
const FIRST_PORT = 20_000;
/** Kubernetes gives those from here on to services. */
const END_PORT = 30_000;
