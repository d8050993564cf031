import { readFile, stat } from "node:fs/promises";
import type { Clock } from "../../core/clock.ts";
import type { SecretRef } from "../../policy/security/authentication-resource.ts";

/**
 * Reads what resources refer to: environment variables and files. Files are looked at again when they are asked for, at most once a second, and read again when they
 * changed; one that cannot be read any more keeps its last content.
 */
export class Secrets {
  readonly #clock: Clock;
  readonly #env: Readonly<Record<string, string | undefined>>;
  readonly #onProblem: (message: string) => void;
  readonly #files = new Map<string, KnownFile>();

  constructor(clock: Clock, env: Readonly<Record<string, string | undefined>>, onProblem: (message: string) => void) {
    this.#clock = clock;
    this.#env = env;
    this.#onProblem = onProblem;
  }

  /** The secret, without a line's end behind it; null when there is none, which is reported by its name. */
  async secret(ref: SecretRef): Promise<string | null> {
    if ("env" in ref) {
      const value = this.#env[ref.env];
      if (value !== undefined && value !== "") return value;
      this.#onProblem(`the environment variable ${ref.env}, which a policy needs, is not set`);
      return null;
    }
    const file = await this.file(ref.file);
    return file === null ? null : file.text.replace(/\r?\n$/, "");
  }

  /** The same object for as long as the file stays as it is. */
  async file(path: string): Promise<FileContent | null> {
    const now = this.#clock.now();
    const known = this.#files.get(path);
    if (known !== undefined && now - known.lookedAt < LOOK_EVERY_MS) return known.content;
    try {
      const { mtimeMs, size } = await stat(path);
      const stamp = `${mtimeMs} ${size}`;
      if (known?.stamp === stamp) {
        known.lookedAt = now;
        return known.content;
      }
      if (size > MAX_BYTES) throw new Error(`it is larger than ${MAX_BYTES} bytes`);
      const content: FileContent = { text: await readFile(path, "utf8") };
      this.#files.set(path, { stamp, lookedAt: now, content });
      return content;
    } catch (error) {
      this.#onProblem(`${path}, which a policy needs, cannot be read: ${(error as Error).message}`);
      if (known !== undefined) known.lookedAt = now;
      return known?.content ?? null;
    }
  }
}

export interface FileContent {
  readonly text: string;
}

interface KnownFile {
  readonly stamp: string;
  readonly content: FileContent;
  lookedAt: number;
}

const LOOK_EVERY_MS = 1_000;
const MAX_BYTES = 4_194_304;
