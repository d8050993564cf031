import { closeSync, fstatSync, mkdirSync, openSync, renameSync, writeSync } from "node:fs";
import { dirname } from "node:path";

/**
 * A log that cannot fill the disk: when the file has reached `maxBytes` it becomes `<path>.1` (whatever had that name is gone) and
 * a new one begins, so that at most twice `maxBytes` is kept. Writes are synchronous: lines of a process that crashes the host
 * with it are there to be read. Failing writes (disk full) lose lines, never the process; `onError` hears the first of them.
 */
export class LogFile {
  readonly path: string;
  readonly #maxBytes: number;
  readonly #onError: (message: string) => void;
  #fd: number;
  #bytes: number;
  #failed = false;

  constructor(path: string, options: { maxBytes?: number; onError?: (message: string) => void } = {}) {
    this.path = path;
    this.#maxBytes = options.maxBytes ?? 10 * 1024 * 1024;
    this.#onError = options.onError ?? (() => {});
    mkdirSync(dirname(path), { recursive: true });
    this.#fd = openSync(path, "a", 0o644);
    this.#bytes = fstatSync(this.#fd).size;
  }

  write(line: string): void {
    if (this.#fd < 0) return;
    const bytes = Buffer.from(`${line}\n`);
    try {
      if (this.#bytes > 0 && this.#bytes + bytes.length > this.#maxBytes) this.#rotate();
      writeSync(this.#fd, bytes);
      this.#bytes += bytes.length;
      this.#failed = false;
    } catch (error) {
      if (!this.#failed) this.#onError(`${this.path}: ${error instanceof Error ? error.message : String(error)}`);
      this.#failed = true;
    }
  }

  close(): void {
    if (this.#fd >= 0) closeSync(this.#fd);
    this.#fd = -1;
  }

  #rotate(): void {
    renameSync(this.path, `${this.path}.1`);
    closeSync(this.#fd);
    this.#fd = openSync(this.path, "a", 0o644);
    this.#bytes = 0;
  }
}
