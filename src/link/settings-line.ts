import { codecOf } from "../contract/codec.ts";
import type { Ack } from "../contract/gen/weft/control/v1/control.ts";
import { SettingsUpdateSchema } from "../contract/gen/weft/control/v1/settings.ts";
import type { Clock } from "../core/clock.ts";
import { toWeftError, type WeftError } from "../core/errors.ts";
import type { SettingValue } from "../settings/settings-state.ts";
import { errorOf } from "./errors.ts";
import type { SettingsFile } from "./settings-file.ts";
import type { Stream } from "./stream.ts";
import { Waiters } from "./waiters.ts";

/** The part of a line that is about settings: namespaces in, their values out whenever they are others. */
export interface SettingsFollower {
  /**
   * Keeps `wanted.take` supplied with the values of a namespace, from the disk while the control plane is away. Resolves when it has been given the first; rejects with what the control plane
   * refuses, and `unavailable` when there are none after `timeoutMs`.
   */
  follow(wanted: WantedSettings, timeoutMs: number): Promise<void>;
  /** What is on disk of a namespace: the last values that were in force. Null: nothing. */
  saved(namespace: string): Promise<KnownSettings | null>;
}

export interface WantedSettings {
  readonly namespace: string;
  /** What is expected, for the control plane to check before it publishes: a JSON Schema, or the name of a message of a registered contract; "" for neither. */
  readonly schema: string;
  readonly message: string;
  /** Brings values into force and says "", or why they are not. Never called again before it has answered. */
  take(settings: KnownSettings): Promise<string>;
}

/** The values of a namespace as this process gets them; sealed ones are sealed. */
export interface KnownSettings {
  readonly revision: number;
  readonly values: Readonly<Record<string, SettingValue>>;
  /** Gray releases whose values are among them. */
  readonly grays: readonly string[];
}

export interface SettingsLineParts {
  readonly clock: Clock;
  /** What was in force last, on disk; null: nothing is kept. */
  readonly file: SettingsFile | null;
  /** The stream of now, when it was welcomed. */
  readonly stream: () => Stream | null;
  readonly prove: (stream: Stream) => void;
  /** The line is down, and was not only just begun. */
  readonly isDown: () => boolean;
  readonly unreachable: (timeoutMs: number) => WeftError;
  readonly report: (error: WeftError) => void;
}

/**
 * Of each namespace only the newest values wait while others are being brought into force:
 *
 *     update --> newest --take()--> in force: told, kept on disk
 *                   |                  '--refused: told; those before stay, here and on disk
 *                   '--the line is down before there were any: those on disk
 */
export class SettingsLine implements SettingsFollower {
  readonly #parts: SettingsLineParts;
  readonly #followed = new Map<string, Followed>();

  constructor(parts: SettingsLineParts) {
    this.#parts = parts;
  }

  async follow(wanted: WantedSettings, timeoutMs: number): Promise<void> {
    const { namespace } = wanted;
    let followed = this.#followed.get(namespace);
    if (followed === undefined) {
      followed = {
        namespace,
        takers: [],
        newest: null,
        inForce: 0,
        applying: false,
        again: false,
        waiters: new Waiters(),
      };
      this.#followed.set(namespace, followed);
    }
    followed.takers.push(wanted);
    const stream = this.#parts.stream();
    if (stream !== null) this.#subscribe(stream, [followed]);
    if (followed.newest !== null) {
      await wanted.take(followed.newest);
      return;
    }
    if (this.#parts.isDown()) void this.#restore(followed);
    try {
      await followed.waiters.wait(this.#parts.clock, timeoutMs, () => this.#parts.unreachable(timeoutMs));
    } catch (thrown) {
      followed.takers.splice(followed.takers.indexOf(wanted), 1);
      if (followed.takers.length === 0) this.#followed.delete(namespace);
      throw thrown;
    }
  }

  async saved(namespace: string): Promise<KnownSettings | null> {
    return (await this.#parts.file?.get(namespace)) ?? null;
  }

  /** A new stream was welcomed. */
  attached(stream: Stream): void {
    this.#subscribe(stream, [...this.#followed.values()]);
  }

  /** The line is down. */
  lost(): void {
    for (const followed of this.#followed.values()) if (followed.newest === null) void this.#restore(followed);
  }

  /** An encoded SettingsUpdate arrived. */
  receive(bytes: Uint8Array): void {
    const { namespace, revision, json, grays } = updates.decode(bytes, 0, bytes.byteLength);
    const followed = this.#followed.get(namespace);
    if (followed === undefined) return;
    followed.newest = { revision: Number(revision), values: JSON.parse(json) as KnownSettings["values"], grays };
    void this.#apply(followed);
  }

  /** Writes what is not written yet. */
  async close(error: WeftError): Promise<void> {
    for (const { waiters } of this.#followed.values()) waiters.settle(error);
    await this.#parts.file?.written;
  }

  #subscribe(stream: Stream, all: readonly Followed[]): void {
    if (all.length === 0) return;
    this.#parts.prove(stream);
    const namespaces = all.map(({ namespace, takers, inForce }) => {
      const { schema = "", message = "" } = takers.findLast((one) => one.schema !== "" || one.message !== "") ?? {};
      return { namespace, knownRevision: BigInt(inForce), schema, message };
    });
    // One request each: what is refused of one namespace is not refused of another.
    for (const [i, followed] of all.entries()) {
      const requestId = stream.request((ack: Ack | null) => {
        const error = ack === null ? null : errorOf(ack);
        if (error === null) return;
        if (followed.newest === null) followed.waiters.settle(error);
        else this.#parts.report(error);
      });
      stream.outbox.push({ message: { case: "subscribeSettings", value: { requestId, namespaces: [namespaces[i]] } } });
    }
  }

  async #restore(followed: Followed): Promise<void> {
    const saved = await this.saved(followed.namespace);
    if (saved === null || followed.newest !== null) return;
    followed.newest = saved;
    await this.#apply(followed);
  }

  async #apply(followed: Followed): Promise<void> {
    followed.again = true;
    if (followed.applying) return;
    followed.applying = true;
    while (followed.again && followed.newest !== null) {
      followed.again = false;
      const { namespace, newest } = followed;
      const answers = await Promise.all(followed.takers.map((taker) => taker.take(newest).catch(told)));
      const error = answers.find((answer) => answer !== "") ?? "";
      if (error === "") {
        followed.inForce = newest.revision;
        this.#parts.file?.put(namespace, newest);
      }
      const value = { namespace, revision: BigInt(newest.revision), error: error.slice(0, MAX_REFUSAL_LENGTH) };
      this.#parts.stream()?.outbox.push({ message: { case: "settingsApplied", value } });
      followed.waiters.settle(null);
    }
    followed.applying = false;
  }
}

interface Followed {
  readonly namespace: string;
  readonly takers: WantedSettings[];
  /** Null before there were any. */
  newest: KnownSettings | null;
  /** Revision of those in force. */
  inForce: number;
  applying: boolean;
  /** There are others than those that are being brought into force. */
  again: boolean;
  readonly waiters: Waiters;
}

function told(thrown: unknown): string {
  return toWeftError(thrown).message;
}

const updates = codecOf(SettingsUpdateSchema);
const MAX_REFUSAL_LENGTH = 2_000;
