import { inspect, isDeepStrictEqual } from "node:util";
import { toWeftError, WeftError } from "../../core/errors.ts";
import type { KnownSettings } from "../../link/settings-line.ts";
import { isSealed } from "../../settings/json-value.ts";
import type { SettingsKeys } from "../../settings/sealed.ts";
import type { Json } from "../../settings/settings-state.ts";
import type { SettingsShape } from "./settings-shape.ts";

export type SettingsListener = (now: object, before: object) => void;

/** The values of one namespace in one process, and the object that shows them. */
export class LiveSettings {
  readonly #namespace: string;
  readonly #shape: SettingsShape;
  readonly #keys: () => Promise<SettingsKeys | null>;
  readonly #listeners = new Set<SettingsListener>();
  readonly #tell: (line: string) => void;
  #now: object | null = null;
  #revision = 0;
  /** Why the newest are not in force; "" when they are. */
  refusal = "";
  /** Reading a property of it gives the newest in force. */
  readonly view: object;

  constructor(
    namespace: string,
    shape: SettingsShape,
    keys: () => Promise<SettingsKeys | null>,
    tell: (line: string) => void,
  ) {
    this.#namespace = namespace;
    this.#shape = shape;
    this.#keys = keys;
    this.#tell = tell;
    this.view = viewOf(
      () => this.now,
      (value) => shape.toJson(value),
    );
    all.set(this.view, this);
  }

  /** Those in force, whole and never changing. */
  get now(): object {
    return this.#now ?? NOTHING;
  }

  get inForce(): boolean {
    return this.#now !== null;
  }

  onChange(listener: SettingsListener): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  /** Brings values into force and says "", or why they are not: those before stay. */
  async take({ revision, values }: KnownSettings): Promise<string> {
    let checked: Awaited<ReturnType<SettingsShape["check"]>>;
    const secrets = new Map<string, Json>();
    try {
      checked = await this.#shape.check(await this.#unsealed(values, secrets));
    } catch (thrown) {
      const { message } = thrown instanceof WeftError ? thrown : toWeftError(thrown);
      checked = { problems: [thrown instanceof WeftError ? message : `the schema itself failed: ${String(thrown)}`] };
    }
    if ("problems" in checked) {
      this.refusal = withoutSecrets(checked.problems.slice(0, MAX_PROBLEMS), secrets).join("; ");
      if (this.#now !== null) {
        const stays = this.#revision === 0 ? "those before stay" : `revision ${this.#revision} stays`;
        this.#tell(`settings of ${this.#namespace}: revision ${revision} is refused, ${stays}: ${this.refusal}`);
      }
      return this.refusal;
    }
    this.refusal = "";
    this.#revision = revision;
    const before = this.#now;
    if (before !== null && isDeepStrictEqual(before, checked.value)) return "";
    const now = frozen(checked.value);
    this.#now = now;
    if (before === null) return "";
    for (const listener of [...this.#listeners]) {
      try {
        listener(now, before);
      } catch (thrown) {
        this.#tell(`settings of ${this.#namespace}: a listener failed: ${inspect(thrown)}`);
      }
    }
    return "";
  }

  /** All values as they are; those that were sealed are put into `secrets`, too. */
  async #unsealed(values: KnownSettings["values"], secrets: Map<string, Json>): Promise<Record<string, Json>> {
    const open: [string, Json][] = [];
    let keys: SettingsKeys | null = null;
    for (const [key, value] of Object.entries(values)) {
      if (!isSealed(value)) {
        open.push([key, value as Json]);
        continue;
      }
      keys ??= await this.#keys();
      if (keys === null)
        throw new WeftError(
          "failed_precondition",
          `${key} is sealed, and this process has no keys: set WEFT_SETTINGS_KEYS or WEFT_SETTINGS_KEYS_FILE`,
          { reason: "CANNOT_UNSEAL" },
        );
      const secret = keys.unseal(this.#namespace, key, value);
      secrets.set(key, secret);
      open.push([key, secret]);
    }
    return Object.fromEntries(open);
  }
}

const all = new WeakMap<object, LiveSettings>();

/** Throws `invalid_argument` for what is not from settings(). */
export function liveOf(view: object): LiveSettings {
  const live = all.get(view);
  if (live !== undefined) return live;
  throw new WeftError("invalid_argument", "this is not what settings() gave: a copy of it no longer changes", {
    reason: "NOT_SETTINGS",
  });
}

/** Behaves as the object that `now` gives, at every moment, and cannot be written to. */
function viewOf(now: () => object, toJson: (value: object) => unknown): object {
  const target = {};
  Object.defineProperty(target, inspect.custom, { value: now, configurable: true });
  const refuse = (): never => {
    throw new TypeError("settings are read-only here: change them with `weft settings set`");
  };
  return new Proxy(target, {
    get: (_, key) => (key === "toJSON" && !Object.hasOwn(now(), key) ? () => toJson(now()) : Reflect.get(now(), key)),
    has: (_, key) => Reflect.has(now(), key),
    ownKeys: () => Reflect.ownKeys(now()),
    getOwnPropertyDescriptor(_, key) {
      const found = Reflect.getOwnPropertyDescriptor(now(), key);
      return found && { ...found, writable: false, configurable: true };
    },
    getPrototypeOf: () => Object.prototype,
    isExtensible: () => true,
    set: refuse,
    defineProperty: refuse,
    deleteProperty: refuse,
    preventExtensions: refuse,
    setPrototypeOf: refuse,
  });
}

/** Objects and lists within, too; what has a class of its own is left as it is. */
function frozen<T>(value: T): T {
  if (typeof value !== "object" || value === null || Object.isFrozen(value)) return value;
  const prototype = Object.getPrototypeOf(value);
  if (prototype !== Object.prototype && prototype !== null && !Array.isArray(value)) return value;
  for (const item of Object.values(value)) frozen(item);
  return Object.freeze(value);
}

/** What validators say of a value may show it, and goes to the log and to the control plane. */
function withoutSecrets(problems: readonly string[], secrets: ReadonlyMap<string, Json>): string[] {
  return problems.map((problem) => {
    for (const [key, secret] of secrets) {
      const isOfIt = problem.startsWith(key) && /^[:.[]/.test(problem.slice(key.length));
      const shows = JSON.stringify(secret).replace(/^"|"$/g, "");
      if (isOfIt && problem !== `${key}: is missing`) return `${key}: its sealed value does not fit the schema`;
      if (shows.length >= 4 && problem.includes(shows)) return "a sealed value does not fit the schema";
    }
    return problem;
  });
}

const NOTHING: object = Object.freeze({});
const MAX_PROBLEMS = 20;
