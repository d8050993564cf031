import { WeftError } from "../../core/errors.ts";
import type { VirtualAddresses } from "../../dns/virtual-addresses.ts";
import { type Destination, parseDestination } from "./destination.ts";

export interface VirtualHostsOptions {
  addresses: VirtualAddresses;
  /** On which each virtual address is listened at. */
  ports: readonly number[];
  /** Listens for connections to `destination`. Rejects as listen() does. */
  listenAt(host: string, port: number, destination: Destination): Promise<{ close(): Promise<void> }>;
  /** Ports at which the service itself listens, which clients may use as well. */
  ownPorts?(destination: Destination): Promise<readonly number[]>;
  /** Told once of each thing that keeps names from having addresses. */
  onProblem(message: string): void;
  /** Names that may have an address. Default 256. */
  maxNames?: number;
}

/** Names with their virtual addresses, each listened on from the first question for it on. An address stays its name's. */
export class VirtualHosts {
  readonly #options: VirtualHostsOptions;
  readonly #names = new Map<string, Promise<string | null>>();
  readonly #listeners: { close(): Promise<void> }[] = [];
  readonly #told = new Set<string>();
  readonly #maxNames: number;
  #closed = false;

  constructor(options: VirtualHostsOptions) {
    this.#options = options;
    this.#maxNames = options.maxNames ?? MAX_NAMES;
  }

  /** "orders.weft" -> "127.80.7.9"; null when it cannot have one. Never rejects. */
  addressOf(name: string): Promise<string | null> {
    const known = this.#names.get(name);
    if (known !== undefined) return known;
    const destination = parseDestination(name);
    if (destination === null || this.#closed) return Promise.resolve(null);
    if (this.#names.size >= this.#maxNames) {
      this.#tell(`${this.#maxNames} names have virtual addresses already; others get none`);
      return Promise.resolve(null);
    }
    const found = this.#find(name, destination).then((address) => {
      if (address === null) this.#names.delete(name); // asked again, it may be had
      return address;
    });
    this.#names.set(name, found);
    return found;
  }

  async close(): Promise<void> {
    this.#closed = true;
    await Promise.allSettled(this.#names.values());
    await Promise.all(this.#listeners.splice(0).map((listener) => listener.close()));
  }

  async #find(name: string, destination: Destination): Promise<string | null> {
    const { addresses, ports, ownPorts } = this.#options;
    const own = (await ownPorts?.(destination).catch(() => [])) ?? [];
    const wanted = [...new Set([...ports, ...own.slice(0, MAX_OWN_PORTS)])];
    for (const address of addresses.candidates(name)) {
      addresses.assign(address, name); // nobody else's while it is tried
      const tried = await this.#listen(address, wanted, destination);
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
  ): Promise<"listening" | "taken" | "failed"> {
    const listening: { close(): Promise<void> }[] = [];
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
    this.#listeners.push(...listening);
    return "listening";
  }

  #tell(message: string): void {
    if (this.#told.has(message) || this.#told.size >= MAX_TOLD) return;
    this.#told.add(message);
    this.#options.onProblem(message);
  }
}

const MAX_NAMES = 256;
const MAX_OWN_PORTS = 4;
const MAX_TOLD = 32;
