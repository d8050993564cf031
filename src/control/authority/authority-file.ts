import { randomBytes } from "node:crypto";
import { chmod, mkdir, open, readFile, rename } from "node:fs/promises";
import { join } from "node:path";
import { WeftError } from "../../core/errors.ts";
import { isServiceName } from "../../registry/validate.ts";
import type { AuthorityKeeper } from "./authority-keeper.ts";

/** A root as it is kept: PEM both. */
export interface KeptRoot {
  readonly id: string;
  readonly state: "distributing" | "signing" | "retiring";
  readonly sinceMs: number;
  readonly notAfterMs: number;
  readonly certificate: string;
  readonly privateKey: string;
}

/** A root that signs no more, and how whoever still trusts it comes to the one that followed it. PEM. */
export interface PastRoot {
  readonly certificate: string;
  /** The next root's key and name, signed by this one's. */
  readonly successor: string;
  readonly notAfterMs: number;
  /** When it was dropped; null while it is trusted. */
  readonly droppedMs: number | null;
}

/** The authority's own files in the control plane's folder, readable by its user alone. "" for the folder keeps nothing. */
export class AuthorityFile implements AuthorityKeeper {
  readonly shared = false;
  readonly #folder: string;
  readonly #onEvent: (message: string) => void;

  constructor(folder: string, onEvent: (message: string) => void = () => {}) {
    this.#folder = folder;
    this.#onEvent = onEvent;
  }

  /**
   * Null when there is none yet. What is there of another system is put aside, and found again when that one runs here. Rejects `failed_precondition` for a file
   * that cannot be used: it is never written over.
   */
  async read(system: string): Promise<{ roots: readonly KeptRoot[]; past: readonly PastRoot[] } | null> {
    if (this.#folder === "") return null;
    const file = join(this.#folder, ROOTS_FILE);
    const text = (await readOrNull(file)) ?? (await this.#takeBack(system));
    if (text === null) return null;
    await chmod(file, 0o600);
    try {
      const kept = parse(text) as { version: number; system: string; roots: KeptRoot[]; past?: PastRoot[] };
      if (kept.version !== 1 || !Array.isArray(kept.roots) || kept.roots.length === 0)
        throw new Error("it holds no roots");
      if (!isServiceName(kept.system)) throw new Error("it names no system");
      if (kept.system !== system) {
        await this.#putAside(kept.system, system);
        return this.read(system);
      }
      return { roots: kept.roots, past: kept.past ?? [] };
    } catch (cause) {
      if (cause instanceof WeftError) throw cause;
      throw new WeftError(
        "failed_precondition",
        `the authority's file ${file} cannot be used: ${(cause as Error).message}. Bring it back, or move it away to begin with a new authority (every process then has to join again)`,
        { reason: "AUTHORITY_UNUSABLE" },
      );
    }
  }

  /** Nobody of a system trusts, or is known by, another one's authority. */
  async #putAside(old: string, system: string): Promise<void> {
    const aside = join(this.#folder, asideOf(old));
    if ((await readOrNull(aside)) !== null) throw new Error(`it is of the system "${old}", of which ${aside} is, too`);
    await rename(join(this.#folder, ROOTS_FILE), aside);
    this.#onEvent(`the authority of the system "${old}" is kept in ${aside}; this is "${system}", which has its own`);
  }

  async #takeBack(system: string): Promise<string | null> {
    const aside = join(this.#folder, asideOf(system));
    const text = await readOrNull(aside);
    if (text !== null) await rename(aside, join(this.#folder, ROOTS_FILE));
    return text;
  }

  async write(system: string, roots: readonly KeptRoot[], past: readonly PastRoot[]): Promise<boolean> {
    await this.#replace(ROOTS_FILE, `${JSON.stringify({ version: 1, system, roots, past }, null, 2)}\n`);
    return true;
  }

  /** Nobody else writes there. */
  watch(): { close(): void } {
    return { close() {} };
  }

  async writeTrust(pem: string): Promise<void> {
    if (this.#folder === "" || (await readOrNull(join(this.#folder, TRUST_FILE))) === pem) return;
    await this.#replace(TRUST_FILE, pem);
  }

  /** The operator's secret: the one given, otherwise the one kept, otherwise a new one. */
  async operatorToken(given: string): Promise<string> {
    if (given !== "") return given;
    const kept = this.#folder === "" ? null : await readOrNull(join(this.#folder, OPERATOR_FILE));
    if (kept !== null && kept.trim() !== "") return kept.trim();
    const token = randomBytes(32).toString("base64url");
    await this.#replace(OPERATOR_FILE, `${token}\n`);
    return token;
  }

  /** Whole or not at all, whenever the process ends. */
  async #replace(name: string, text: string): Promise<void> {
    if (this.#folder === "") return;
    await mkdir(this.#folder, { recursive: true, mode: 0o700 });
    const file = join(this.#folder, name);
    const made = await open(`${file}.new`, "w", 0o600);
    try {
      await made.chmod(0o600);
      await made.writeFile(text);
      await made.sync();
    } finally {
      await made.close();
    }
    await rename(`${file}.new`, file);
  }
}

/** Within the control plane's folder: what `weft token` and `weft ca` show to be the operator's. */
const OPERATOR_FILE = "operator-token";
const ROOTS_FILE = "authority.json";
const TRUST_FILE = "trust.pem";

function asideOf(system: string): string {
  return `authority-${system}.json`;
}

/** What JSON.parse says of a mistake quotes the text, which holds keys. */
function parse(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    throw new Error("it is no JSON");
  }
}

async function readOrNull(file: string): Promise<string | null> {
  try {
    return await readFile(file, "utf8");
  } catch (cause) {
    if ((cause as NodeJS.ErrnoException).code === "ENOENT") return null;
    throw new WeftError("failed_precondition", `${file} cannot be read: ${(cause as Error).message}`, {
      reason: "AUTHORITY_UNUSABLE",
      cause,
    });
  }
}
