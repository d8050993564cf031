import type { Cancel, Clock } from "../../core/clock.ts";
import { toWeftError, WeftError } from "../../core/errors.ts";
import type { Random } from "../../core/random.ts";
import { BackOff } from "../../link/back-off.ts";
import type { ApiClient } from "./api-client.ts";
import { apiError } from "./api-error.ts";
import { type ApiObject, type ApiResource, isRecord, parseObject, versionOf } from "./api-resource.ts";
import { listObjects, type ObjectList } from "./list-objects.ts";

export interface ListWatchOptions {
  client: ApiClient;
  clock: Clock;
  random: Random;
  resource: ApiResource;
  /** labelSelector, fieldSelector. */
  selector: Readonly<Record<string, string>>;
  metadataOnly?: boolean;
  /** After a failure everything is listed again, for nobody else looks whether data were lost: a watch from a version that is still to come says nothing. Default false. */
  listAfterFailure?: boolean;
  /** Everything is to be listed. */
  beforeList?: () => void;
  /** Everything: first, and after each gap. What happened since is told when it has resolved; when it rejects, everything is listed again. */
  onList: (list: ObjectList) => void | Promise<void>;
  /** What happened since, in order. */
  onEvents: (events: readonly ObjectEvent[]) => void;
  /** Null: changes are heard from now on. Else they are not, for now. */
  onState: (failure: WeftError | null) => void;
}

export interface ObjectEvent {
  readonly kind: "put" | "deleted";
  readonly object: ApiObject;
}

/**
 * All objects of one kind that are selected, and every change of them, until close():
 *
 *     listing --whole--> watching from the list's version --ended as it does every few minutes--> watching from the last version
 *        ^                  |    '--broken: pause with jitter--> watching from the last version
 *        '--410 Gone, relist(), after any failure where that is asked for
 *
 * Bookmarks move the last version on where nothing changes, so that it is not forgotten.
 */
export class ListWatch {
  readonly #options: ListWatchOptions;
  readonly #backOff: BackOff;
  /** The last version known; "": everything is to be listed. */
  #version = "";
  #stream: { close(): void } | null = null;
  #fail: ((error: WeftError) => void) | null = null;
  #wake: Cancel = ignore;
  #watching = false;
  #heardAt = 0;
  #closed = false;

  constructor(options: ListWatchOptions) {
    this.#options = options;
    this.#backOff = new BackOff(options.random, { baseMs: 50, maxMs: MAX_PAUSE_MS });
    void this.#run();
  }

  /** Whether changes are heard. */
  get watching(): boolean {
    return this.#watching;
  }

  /** The connection may be dead without a word: another one is made. */
  restart(failure: WeftError): void {
    this.#fail?.(failure);
  }

  /** What is known may be of other data. */
  relist(): void {
    this.#version = "";
    this.#fail?.(new WeftError("unavailable", "everything is listed again", { reason: "RELIST" }));
  }

  close(): void {
    this.#closed = true;
    this.#watching = false;
    this.#stream?.close();
    this.#fail?.(new WeftError("cancelled", "closed"));
    this.#wake();
  }

  async #run(): Promise<void> {
    const { client, clock, resource, selector, metadataOnly, onList, onState } = this.#options;
    while (!this.#closed) {
      const began = clock.now();
      try {
        if (this.#version === "") {
          this.#options.beforeList?.();
          const list = await listObjects(client, resource, selector, { metadataOnly });
          if (this.#closed) return;
          await onList(list);
          if (this.#closed) return;
          this.#version = list.resourceVersion;
        }
        await this.#watch();
        // As it does every few minutes; a server that always does is not asked in a hurry.
        if (clock.now() - began < SHORT_MS) await this.#pause();
      } catch (thrown) {
        this.#watching = false;
        if (this.#closed) return;
        const failure = toWeftError(thrown);
        if (failure.reason === "GONE" || this.#options.listAfterFailure === true) this.#version = "";
        onState(failure);
        await this.#pause();
      }
    }
  }

  /** Resolves when the server ends it in order; rejects when it broke. */
  async #watch(): Promise<void> {
    const { client, clock, random, resource, selector, metadataOnly, onState } = this.#options;
    let cancel: Cancel = ignore;
    const timeoutSeconds = String(Math.round(WATCH_S * (0.8 + 0.4 * random.next())));
    const query = {
      ...selector,
      watch: "true",
      allowWatchBookmarks: "true",
      timeoutSeconds,
      resourceVersion: this.#version,
    };
    let stopped: WeftError | null = null;
    this.#fail = (error) => {
      stopped = error;
    };
    try {
      await new Promise<void>((resolve, reject) => {
        const onEnd = (error: WeftError | null): void => (error === null ? resolve() : reject(error));
        const onEvents = (events: readonly unknown[]): void => this.#take(events);
        client.watch({ verb: "watch", resource, query, metadataOnly }, { onEvents, onEnd }).then((stream) => {
          this.#stream = stream;
          this.#fail = reject;
          if (stopped !== null) return reject(stopped);
          this.#watching = true;
          this.#heardAt = clock.now();
          cancel = this.#unlessSilent(resolve);
          this.#backOff.reset();
          onState(null);
        }, reject);
      });
    } finally {
      cancel();
      this.#watching = false;
      this.#fail = null;
      this.#stream?.close();
      this.#stream = null;
    }
  }

  /** Bookmarks come about once a minute. A connection on which none do may be dead; if not, nothing is missed by another. */
  #unlessSilent(end: () => void): Cancel {
    const { clock } = this.#options;
    let cancel: Cancel = ignore;
    const look = (): void => {
      if (clock.now() - this.#heardAt > SILENT_MS) end();
      else cancel = clock.after(SILENT_MS / 4, look);
    };
    look();
    return () => cancel();
  }

  /** Throws what ends the stream. */
  #take(values: readonly unknown[]): void {
    this.#heardAt = this.#options.clock.now();
    const { client, resource, onEvents } = this.#options;
    const events: ObjectEvent[] = [];
    let refused: WeftError | null = null;
    for (const value of values) {
      if (!isRecord(value)) throw new Error("an event that is none");
      const { type } = value;
      if (type === "ERROR") {
        const code = isRecord(value.object) && typeof value.object.code === "number" ? value.object.code : 500;
        refused = apiError(code, value.object, { verb: "watch", resource, namespace: client.namespace });
        break;
      }
      const object = parseObject(value.object);
      versionOf(object.metadata.resourceVersion);
      if (type === "ADDED" || type === "MODIFIED") events.push({ kind: "put", object });
      else if (type === "DELETED") events.push({ kind: "deleted", object });
      else if (type !== "BOOKMARK") continue; // of a later version of the protocol
      this.#version = object.metadata.resourceVersion;
    }
    if (events.length > 0) onEvents(events);
    if (refused !== null) throw refused;
  }

  #pause(): Promise<void> {
    return new Promise((resolve) => {
      const cancel = this.#options.clock.after(this.#backOff.next(), resolve);
      this.#wake = () => {
        cancel();
        resolve();
      };
    });
  }
}

function ignore(): void {}

const WATCH_S = 300;
const SHORT_MS = 1_000;
const SILENT_MS = 90_000;
/** So short that what is told is right again within seconds of recovery. */
const MAX_PAUSE_MS = 1_000;
