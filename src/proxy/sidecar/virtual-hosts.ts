import { type Clock, systemClock } from "../../core/clock.ts";
import { WeftError } from "../../core/errors.ts";
import type { VirtualAddresses } from "../../dns/virtual-addresses.ts";
import { type Destination, parseDestination } from "./destination.ts";

export interface VirtualHostsOptions {
  addresses: VirtualAddresses;
  /** On which each virtual address is listened at. */
  ports: readonly number[];
  /** Listens for connections to `destination`. Rejects as listen() does. */
  listenAt(host: string, port: number, destination: Destination): Promise<VirtualListener>;
  /** Ports at which the service itself listens, which clients may use as well. */
  ownPorts?(destination: Destination): Promise<readonly number[]>;
  /** Told once of each thing that keeps names from having addresses. */
  onProblem(message: string): void;
  /** Names that may have an address. Default 256. */
  maxNames?: number;
  clock?: Clock;
}

interface VirtualListener {
  readonly connections: number;
  close(): Promise<void>;
}

interface VirtualHost {
  readonly address: Promise<string | null>;
  readonly listeners: VirtualListener[];
  /** When it was asked for last. */
  askedAt: number;
}

/**
 * Names with their virtual addresses, each listened on from the first question for it on. An address stays its name's, unless all are taken: then a name that nobody has asked for
 * in a minute, and to which no connection is open, makes room, so that names that were made up keep nobody out for long.
 */
export class VirtualHosts {
  readonly #options: VirtualHostsOptions;
  /** The one that was asked for last is last. */
  readonly #names = new Map<string, VirtualHost>();
  readonly #clock: Clock;
  readonly #told = new Set<string>();
  readonly #maxNames: number;
  #closed = false;

  constructor(options: VirtualHostsOptions) {
    this.#options = options;
    this.#maxNames = options.maxNames ?? MAX_NAMES;
    this.#clock = options.clock ?? systemClock;
  }

  /** "orders.weft" -> "127.80.7.9"; null when it cannot have one. Never rejects. */
  addressOf(name: string): Promise<string | null> {
    const known = this.#names.get(name);
    if (known !== undefined) {
      known.askedAt = this.#clock.now();
      this.#names.delete(name);
      this.#names.set(name, known);
      return known.address;
    }
    const destination = parseDestination(name);
    if (destination === null || this.#closed) return Promise.resolve(null);
    if (this.#names.size >= this.#maxNames && !this.#makeRoom()) {
      this.#tell(
        `${this.#maxNames} names have virtual addresses already; others get none until some are not used any more`,
      );
      return Promise.resolve(null);
    }
    const listeners: VirtualListener[] = [];
    const address = this.#find(name, destination, listeners).then((found) => {
      if (found === null) this.#names.delete(name); // asked again, it may be had
      return found;
    });
    this.#names.set(name, { address, listeners, askedAt: this.#clock.now() });
    return address;
  }

  async close(): Promise<void> {
    this.#closed = true;
    const hosts = [...this.#names.values()];
    await Promise.allSettled(hosts.map(({ address }) => address));
    await Promise.all(hosts.flatMap(({ listeners }) => listeners.map((listener) => listener.close())));
  }

  /** False: all are in use. */
  #makeRoom(): boolean {
    const now = this.#clock.now();
    for (const [name, { address, listeners, askedAt }] of this.#names) {
      if (now - askedAt < UNUSED_MS) return false; // and so are those behind it
      if (listeners.length === 0 || listeners.some(({ connections }) => connections > 0)) continue;
      this.#names.delete(name);
      const closed = Promise.all(listeners.map((listener) => listener.close()));
      // Nobody else's while it is closing.
      void Promise.all([address, closed]).then(([host]) => host !== null && this.#options.addresses.release(host));
      return true;
    }
    return false;
  }

  async #find(name: string, destination: Destination, listeners: VirtualListener[]): Promise<string | null> {
    const { addresses, ports, ownPorts } = this.#options;
    const own = (await ownPorts?.(destination).catch(() => [])) ?? [];
    const wanted = [...new Set([...ports, ...own.slice(0, MAX_OWN_PORTS)])];
    for (const address of addresses.candidates(name)) {
      addresses.assign(address, name); // nobody else's while it is tried
      const tried = await this.#listen(address, wanted, destination, listeners);
      if (tried === "taken") continue;
      return tried === "listening" ? address : null;
    }
    this.#tell(`no virtual address for ${name} is free: other programs listen at those that were tried`);
    return null;
  }

  /** "taken": somebody else listens at this address. */
  async #listen(
    address: string,
    ports: readonly number[],
    destination: Destination,
    listeners: VirtualListener[],
  ): Promise<"listening" | "taken" | "failed"> {
    const listening: VirtualListener[] = [];
    const undo = async (): Promise<void> => void (await Promise.all(listening.map((listener) => listener.close())));
    for (const port of ports) {
      try {
        listening.push(await this.#options.listenAt(address, port, destination));
      } catch (thrown) {
        const reason = thrown instanceof WeftError ? thrown.reason : "";
        if (reason === "PORT_FORBIDDEN") {
          this.#tell(
            `virtual addresses are not listened on at port ${port}, which is root's (or net.ipv4.ip_unprivileged_port_start's)`,
          );
          continue;
        }
        await undo();
        if (reason === "PORT_IN_USE") return "taken";
        if (reason === "ADDRESS_UNKNOWN")
          this.#tell(
            `${address} is no address of this machine: on macOS each must be added first (sudo ifconfig lo0 alias ${address}); use HTTP_PROXY instead`,
          );
        else this.#tell(`${address}:${port} cannot be listened on: ${(thrown as Error).message}`);
        return "failed";
      }
    }
    if (listening.length === 0) return "failed";
    listeners.push(...listening);
    return "listening";
  }

  #tell(message: string): void {
    if (this.#told.has(message) || this.#told.size >= MAX_TOLD) return;
    this.#told.add(message);
    this.#options.onProblem(message);
  }
}

const MAX_NAMES = 256;
/** Longer than any answer is kept (5 s), and than most clients keep a connection that is not used. */
const UNUSED_MS = 60_000;
const MAX_OWN_PORTS = 4;
const MAX_TOLD = 32;
