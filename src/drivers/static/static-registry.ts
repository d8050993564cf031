import { type FSWatcher, watch } from "node:fs";
import { readFile, stat } from "node:fs/promises";
import { basename, dirname } from "node:path";
import { type Cancel, type Clock, systemClock } from "../../core/clock.ts";
import type { Endpoint, Health } from "../../core/endpoint.ts";
import { WeftError } from "../../core/errors.ts";
import type { LeaseTableOptions } from "../../registry/lease-table.ts";
import type {
  ConsistencyMode,
  EndpointDelta,
  EndpointList,
  HealthSource,
  Lease,
  Registry,
  Watch,
} from "../../registry/registry.ts";
import { MemoryRegistry } from "../memory/memory-registry.ts";
import { parseEndpointFile } from "./endpoint-file.ts";

export interface StaticRegistryOptions {
  /** YAML or JSON; endpoint-file.ts shows its form. */
  file: string;
  /** Default "available". It is linearizable in both: everybody asks this process. */
  mode?: ConsistencyMode;
  clock?: Clock;
  leases?: LeaseTableOptions;
  /** Told of an edit that cannot be used; the last good state stays. Default: nobody is told. */
  onError?: (error: WeftError) => void;
  /** Told after an edit was taken over, with the number of endpoints that the file lists. */
  onReload?: (endpoints: number) => void;
  /** How often the file is looked at where the system does not tell of changes (network file systems), ms. Default 2,000. */
  pollMs?: number;
}

/**
 * Endpoints from a file, reloaded when it changes, plus what registers itself (in memory). Listed endpoints have no lease; health checks apply to them.
 * Rejects when the file cannot be read or has an error at the start; later errors keep the last good state.
 */
export async function openStaticRegistry(options: StaticRegistryOptions): Promise<StaticRegistry> {
  const listed = parseEndpointFile(await readText(options.file), options.file);
  const registry = new StaticRegistry(options);
  await registry.apply(listed);
  registry.follow();
  return registry;
}

export class StaticRegistry implements Registry {
  readonly mode: ConsistencyMode;
  readonly #options: StaticRegistryOptions;
  readonly #clock: Clock;
  readonly #registry: MemoryRegistry;
  /** The file's endpoints and the tokens of their leases. */
  #listed = new Map<string, { endpoint: Endpoint; token: number }>();
  #watcher: FSWatcher | null = null;
  #stopPolling: Cancel | null = null;
  #seen = "";
  #reloading: Promise<void> | null = null;
  #again = false;
  #closed = false;

  constructor(options: StaticRegistryOptions) {
    this.mode = options.mode ?? "available";
    this.#options = options;
    this.#clock = options.clock ?? systemClock;
    this.#registry = new MemoryRegistry({ clock: this.#clock, leases: options.leases });
  }

  async register(endpoint: Endpoint, ttlMs: number): Promise<Lease> {
    if (this.#listed.has(endpoint.id)) {
      throw new WeftError(
        "already_exists",
        `"${endpoint.id}" is listed in ${this.#options.file}; register under another id`,
        {
          reason: "ENDPOINT_LISTED",
        },
      );
    }
    return this.#registry.register(endpoint, ttlMs);
  }

  query(services: readonly string[]): Promise<EndpointList> {
    return this.#registry.query(services);
  }

  watch(services: readonly string[], listener: (delta: EndpointDelta) => void): Watch {
    return this.#registry.watch(services, listener);
  }

  setHealth(id: string, health: Health, reason: string, by?: HealthSource): Promise<void> {
    return this.#registry.setHealth(id, health, reason, by);
  }

  async close(): Promise<void> {
    this.#closed = true;
    this.#watcher?.close();
    this.#stopPolling?.();
    await this.#reloading;
    await this.#registry.close();
  }

  /** Makes the listed endpoints exactly these; those that stay the same keep their health. */
  async apply(endpoints: readonly Endpoint[]): Promise<void> {
    const { table } = this.#registry;
    const next = new Map<string, { endpoint: Endpoint; token: number }>();
    for (const endpoint of endpoints) {
      const old = this.#listed.get(endpoint.id);
      if (old !== undefined && JSON.stringify(old.endpoint) === JSON.stringify(endpoint)) next.set(endpoint.id, old);
      else {
        const token = table.register(endpoint, Number.POSITIVE_INFINITY, this.#clock.now(), "listed");
        next.set(endpoint.id, { endpoint, token });
      }
    }
    for (const [id, { token }] of this.#listed) if (!next.has(id)) table.release(id, token, "no longer listed");
    this.#listed = next;
    await this.#registry.flush();
  }

  /** Reads the file again and takes it over, or reports and keeps what was. Never two at once; a change meanwhile is read afterwards. */
  reload(): Promise<void> {
    if (this.#reloading !== null) {
      this.#again = true;
      return this.#reloading;
    }
    this.#reloading = this.#reloadOnce().finally(() => {
      this.#reloading = null;
      if (!this.#again || this.#closed) return;
      this.#again = false;
      return this.reload();
    });
    return this.#reloading;
  }

  /** Watches the folder, for editors replace the file, and looks now and then anyway. */
  follow(): void {
    const { file, pollMs = 2_000 } = this.#options;
    try {
      this.#watcher = watch(dirname(file), { persistent: false }, (_, name) => {
        if (name === null || name === basename(file)) void this.#lookSoon();
      });
      this.#watcher.on("error", () => this.#watcher?.close());
    } catch {
      this.#watcher = null; // polling alone, then
    }
    const poll = () => {
      this.#stopPolling = this.#clock.after(pollMs, () => {
        void this.#lookSoon();
        poll();
      });
    };
    poll();
  }

  async #lookSoon(): Promise<void> {
    const state = await stat(this.#options.file).then(
      (stats) => `${stats.mtimeMs}/${stats.size}/${stats.ino}`,
      () => "gone",
    );
    if (state === this.#seen || this.#closed) return;
    this.#seen = state;
    await this.reload();
  }

  async #reloadOnce(): Promise<void> {
    try {
      const endpoints = parseEndpointFile(await readText(this.#options.file), this.#options.file);
      if (this.#closed) return;
      await this.apply(endpoints);
      this.#options.onReload?.(endpoints.length);
    } catch (thrown) {
      if (!(thrown instanceof WeftError)) throw thrown;
      this.#options.onError?.(thrown);
    }
  }
}

async function readText(file: string): Promise<string> {
  try {
    const { size } = await stat(file);
    if (size > MAX_FILE_BYTES) throw new Error(`it has ${size} bytes; at most ${MAX_FILE_BYTES} are read`);
    return await readFile(file, "utf8");
  } catch (cause) {
    throw new WeftError("not_found", `${file}: cannot be read: ${cause instanceof Error ? cause.message : cause}`, {
      reason: "ENDPOINT_FILE_UNREADABLE",
      place: { file },
      cause,
    });
  }
}

const MAX_FILE_BYTES = 16 * 1024 * 1024;
