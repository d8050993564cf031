import { mkdir, readdir, readFile, rename, writeFile } from "node:fs/promises";
import { basename, dirname, join } from "node:path";
import { WeftError } from "../core/errors.ts";
import type { KnownSettings } from "./settings-line.ts";

/**
 * The settings that were in force last, on disk beside the state file: "orders.json.orders-2.settings.json". Replicas share a state file, but a gray release may give each of them other settings:
 * so each instance has a file of its own, and one that has none yet takes what another one had, unless a gray release gave that. Sealed values stay sealed. JSON, replaced whole.
 */
export class SettingsFile {
  readonly #file: string;
  readonly #shared: string;
  readonly #onError: (error: WeftError) => void;
  readonly #kept: Promise<Map<string, KnownSettings>>;
  /** Resolves when all is on disk. */
  written: Promise<void> = Promise.resolve();

  constructor(stateFile: string, instance: string, onError: (error: WeftError) => void) {
    this.#shared = `${basename(stateFile)}.`;
    const name = instance.replace(/[^A-Za-z0-9._@-]/g, "_").slice(0, 100) || "process";
    this.#file = join(dirname(stateFile), `${this.#shared}${name}${ENDING}`);
    this.#onError = onError;
    this.#kept = this.#load();
  }

  async get(namespace: string): Promise<KnownSettings | null> {
    return (await this.#kept).get(namespace) ?? null;
  }

  put(namespace: string, settings: KnownSettings): void {
    this.written = this.written.then(async () => {
      (await this.#kept).set(namespace, settings);
      await this.#save();
    });
  }

  async #load(): Promise<Map<string, KnownSettings>> {
    const own = await read(this.#file);
    if (own !== null) return own;
    const kept = new Map<string, KnownSettings>();
    const folder = dirname(this.#file);
    const names = await readdir(folder).catch(() => []);
    for (const name of names
      .filter((one) => one.startsWith(this.#shared) && one.endsWith(ENDING))
      .slice(0, MAX_OTHERS)) {
      for (const [namespace, settings] of (await read(join(folder, name))) ?? []) {
        const known = kept.get(namespace);
        if (settings.grays.length === 0 && (known === undefined || known.revision < settings.revision))
          kept.set(namespace, settings);
      }
    }
    return kept;
  }

  async #save(): Promise<void> {
    try {
      await mkdir(dirname(this.#file), { recursive: true });
      const beside = `${this.#file}.${process.pid}.new`;
      const namespaces = Object.fromEntries(await this.#kept);
      await writeFile(beside, JSON.stringify({ format: FORMAT, namespaces }), { mode: 0o600 });
      await rename(beside, this.#file);
    } catch (cause) {
      const message = `the settings cannot be saved in ${this.#file}: ${(cause as Error).message}`;
      this.#onError(new WeftError("internal", message, { reason: "STATE_NOT_SAVED", cause }));
    }
  }
}

/** Null: there is none, or none that can be understood. */
async function read(file: string): Promise<Map<string, KnownSettings> | null> {
  try {
    const { format, namespaces } = JSON.parse(await readFile(file, "utf8")) as Saved;
    if (format !== FORMAT) return null;
    const entries = Object.entries(namespaces).filter(
      ([, { revision, values, grays }]) =>
        Number.isSafeInteger(revision) && typeof values === "object" && values !== null && Array.isArray(grays),
    );
    return new Map(entries);
  } catch {
    return null;
  }
}

interface Saved {
  readonly format: number;
  readonly namespaces: Readonly<Record<string, KnownSettings>>;
}

const ENDING = ".settings.json";
const FORMAT = 1;
/** Files of others that are looked at. */
const MAX_OTHERS = 100;
