import { createHash, randomBytes } from "node:crypto";
import { type Clock, systemClock } from "../../core/clock.ts";
import { toWeftError, WeftError } from "../../core/errors.ts";
import { openOrClose } from "../../core/open-or-close.ts";
import { type Random, systemRandom } from "../../core/random.ts";
import { askAgain } from "../../registry/ask-again.ts";
import { assertServiceName } from "../../registry/validate.ts";
import { ABSENT, ANY, type KeyValue, type KeyValueItem, type KeyValueWatch } from "../../settings/key-value.ts";
import { assertKey, assertValue, storeClosed } from "../../settings/key-value-check.ts";
import { KeyWatchers } from "../../settings/key-watchers.ts";
import type { DriverOptions } from "../driver-options.ts";
import { ApiClient, type ApiQuestion } from "./api-client.ts";
import { type ApiObject, CONFIG_MAPS, isRecord, parseObject } from "./api-resource.ts";
import { type ClusterAccess, findCluster } from "./cluster-access.ts";
import { parseKubernetesUrl } from "./kubernetes-url.ts";
import { listObjects } from "./list-objects.ts";
import { ListWatch } from "./list-watch.ts";
import { WEFT } from "./weft-slice.ts";

/** Keys in ConfigMaps of a namespace. Rejects as openKubernetesRegistry() does. */
export async function openKubernetesKeyValue(options: DriverOptions): Promise<KeyValue> {
  const { url, system, clock = systemClock, random = systemRandom, openTimeoutMs = 10_000 } = options;
  const access = findCluster(parseKubernetesUrl(url));
  assertServiceName(system, "system");
  return openOrClose(new KubernetesKeyValue({ access, system, clock, random }), (store) =>
    askAgain(() => store.keys("opening"), { clock, random, timeoutMs: openTimeoutMs, stopped: () => false }),
  );
}

/**
 * One ConfigMap a key, named after a digest of it; the key itself is an annotation, and a label for each of its prefixes lets the API server select what is below one. A version is resourceVersion and uid: the uid tells
 * a ConfigMap from one of the same name in other data. Each write has a mark of its own, because Kubernetes takes one that changes nothing for none. A write whose answer is lost is not repeated.
 */
class KubernetesKeyValue implements KeyValue {
  readonly #client: ApiClient;
  readonly #system: string;
  readonly #clock: Clock;
  readonly #random: Random;
  readonly #watchers: KeyWatchers;
  /** Of names alone; from the first watch on. */
  #changes: ListWatch | null = null;
  #closed = false;

  constructor({
    access,
    system,
    clock,
    random,
  }: { access: ClusterAccess; system: string; clock: Clock; random: Random }) {
    this.#client = new ApiClient({ access, clock, random });
    this.#system = system;
    this.#clock = clock;
    this.#random = random;
    this.#watchers = new KeyWatchers((key) => this.get(key), clock);
  }

  async get(key: string): Promise<KeyValueItem | null> {
    this.#assertOpen();
    assertKey(key);
    const found = await this.#ask({ verb: "get", resource: CONFIG_MAPS, name: this.#nameOf(key) }, "NO_SUCH_OBJECT");
    return found === null ? null : itemOf(parseObject(found), key);
  }

  async list(prefix: string): Promise<readonly KeyValueItem[]> {
    const objects = await this.#below(prefix, false);
    return objects.map((object) => itemOf(object, keyOf(object))).sort(byKey);
  }

  async keys(prefix: string): Promise<readonly string[]> {
    return (await this.#below(prefix, true)).map(keyOf).sort();
  }

  async put(key: string, value: Uint8Array, expected: string): Promise<string | null> {
    this.#assertOpen();
    assertKey(key);
    assertValue(key, value);
    const name = this.#nameOf(key);
    const metadata = {
      name,
      labels: { [MANAGED_BY_LABEL]: WEFT, [STORE]: this.#system, ...prefixLabels(key) },
      annotations: { [KEY]: key, [WRITE]: randomBytes(8).toString("hex") },
    };
    const content = { binaryData: { [VALUE]: Buffer.from(value).toString("base64") } };
    const create = () =>
      this.#ask({ verb: "create", resource: CONFIG_MAPS, body: { metadata, ...content } }, "ALREADY_EXISTS");
    const update = (precondition: object) => {
      const body = { metadata: { ...metadata, ...precondition }, ...content };
      return this.#ask({ verb: "update", resource: CONFIG_MAPS, name, body }, "CONFLICT", "NO_SUCH_OBJECT");
    };
    let done: Record<string, unknown> | null;
    if (expected === ABSENT) done = await create();
    else if (expected !== ANY) {
      const version = parseVersion(expected);
      done = version === null ? null : await update(version);
    } else {
      // Whoever deletes and makes it again and again is not outrun for ever.
      done = null;
      for (let tries = 0; done === null && tries < MAX_TRIES; tries++) done = (await update({})) ?? (await create());
      if (done === null) throw new WeftError("unavailable", `${key} changes all the time`, { reason: "CONTENDED" });
    }
    return done === null ? null : versionOfObject(parseObject(done));
  }

  async delete(key: string, expected: string): Promise<boolean> {
    this.#assertOpen();
    assertKey(key);
    const name = this.#nameOf(key);
    if (expected === ABSENT) return (await this.get(key)) === null;
    const version = expected === ANY ? {} : parseVersion(expected);
    if (version === null) return false;
    const body = { kind: "DeleteOptions", apiVersion: "v1", ...(expected !== ANY && { preconditions: version }) };
    const done = await this.#ask({ verb: "delete", resource: CONFIG_MAPS, name, body }, "CONFLICT", "NO_SUCH_OBJECT");
    return done !== null || expected === ANY;
  }

  watch(key: string, listener: (item: KeyValueItem | null) => void): KeyValueWatch {
    this.#assertOpen();
    assertKey(key);
    this.#changes ??= new ListWatch({
      client: this.#client,
      clock: this.#clock,
      random: this.#random,
      resource: CONFIG_MAPS,
      selector: { labelSelector: `${STORE}=${this.#system}` },
      metadataOnly: true,
      onList: () => this.#watchers.changedAll(),
      onEvents: (events) => {
        for (const { object } of events) this.#watchers.changed(object.metadata.annotations[KEY] ?? "");
      },
      listAfterFailure: true,
      onState: ignore, // what is known stays, until everything is listed
    });
    return this.#watchers.watch(key, listener);
  }

  async close(): Promise<void> {
    if (this.#closed) return;
    this.#closed = true;
    this.#watchers.close();
    this.#changes?.close();
    this.#client.close();
  }

  /** Null: it was refused with one of `reasons`. */
  async #ask(question: ApiQuestion, ...reasons: string[]): Promise<Record<string, unknown> | null> {
    try {
      return await this.#client.ask(question);
    } catch (thrown) {
      this.#assertOpen();
      if (reasons.includes(toWeftError(thrown).reason)) return null;
      throw thrown;
    }
  }

  async #below(prefix: string, metadataOnly: boolean): Promise<readonly ApiObject[]> {
    this.#assertOpen();
    assertKey(prefix);
    const depth = prefix.split("/").length;
    const labelSelector = `${STORE}=${this.#system},${prefixLabel(depth)}=${digestOf(prefix)}`;
    try {
      return (await listObjects(this.#client, CONFIG_MAPS, { labelSelector }, { metadataOnly })).objects;
    } catch (thrown) {
      this.#assertOpen();
      throw thrown;
    }
  }

  #nameOf(key: string): string {
    return `weft-${this.#system}-key-${digestOf(key)}`;
  }

  #assertOpen(): void {
    if (this.#closed) throw storeClosed();
  }
}

/** Throws `data_loss` for a ConfigMap that is not of this key: somebody else has written there. */
function itemOf(object: ApiObject, key: string): KeyValueItem {
  const data = object.content.binaryData;
  const value = isRecord(data) ? data[VALUE] : undefined;
  if (keyOf(object) === key && (typeof value === "string" || value === undefined)) {
    return { key, value: Buffer.from(value ?? "", "base64"), version: versionOfObject(object) };
  }
  throw foreign(object);
}

function keyOf(object: ApiObject): string {
  const key = object.metadata.annotations[KEY];
  if (key === undefined || !object.metadata.name.endsWith(digestOf(key))) throw foreign(object);
  return key;
}

function foreign({ metadata }: ApiObject): WeftError {
  const text = `the ConfigMap ${metadata.name} was not written by weft; delete it, or take its labels away`;
  return new WeftError("data_loss", text, { reason: "FOREIGN_OBJECT" });
}

function versionOfObject({ metadata }: ApiObject): string {
  return `${metadata.resourceVersion}.${metadata.uid}`;
}

/** Null: none that was ever given. */
function parseVersion(version: string): { resourceVersion: string; uid: string } | null {
  const match = /^(\d{1,19})\.([0-9a-f-]{1,64})$/.exec(version);
  return match === null ? null : { resourceVersion: match[1], uid: match[2] };
}

/** A label for each of its prefixes: "weftmesh.dev/below-1" is of the first part, and so on. */
function prefixLabels(key: string): Record<string, string> {
  const parts = key.split("/");
  const labels: Record<string, string> = {};
  for (let depth = 1; depth < parts.length; depth++)
    labels[prefixLabel(depth)] = digestOf(parts.slice(0, depth).join("/"));
  return labels;
}

function prefixLabel(depth: number): string {
  return `weftmesh.dev/below-${depth}`;
}

/** Keys are longer than names and labels may be. */
function digestOf(text: string): string {
  return createHash("sha256").update(text).digest("hex").slice(0, 40);
}

function byKey(a: KeyValueItem, b: KeyValueItem): number {
  return a.key < b.key ? -1 : 1;
}

const MANAGED_BY_LABEL = "app.kubernetes.io/managed-by";
const STORE = "weftmesh.dev/store";
const KEY = "weftmesh.dev/key";
const WRITE = "weftmesh.dev/write";
const VALUE = "value";
const MAX_TRIES = 5;

function ignore(): void {}
