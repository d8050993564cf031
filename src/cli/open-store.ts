import { join } from "node:path";
import { WeftError } from "../core/errors.ts";
import { openSqliteKeyValue } from "../drivers/sqlite/sqlite-key-value.ts";
import type { KeyValue } from "../settings/key-value.ts";
import { MemoryKeyValue } from "../settings/memory-key-value.ts";
import type { RevisionStore } from "../settings/revision-store.ts";
import { migrateControlDatabase } from "./migrate-control-database.ts";
import { OPEN_TIMEOUT_MS, tellWhileOpening } from "./tell-while-opening.ts";

export interface StoreChoice {
  /** "etcd://...": shared with other control planes. "": one of the control plane's own. */
  url: string;
  /** Where all but revisions is kept when `url` is a repository, which keeps those alone. Default "". */
  otherwise?: string;
  /** Folder of the control plane; "": everything is kept in memory. */
  dataDir: string;
  system: string;
  /** How long opening waits for who does not answer, ms. Default 10,000. */
  openTimeoutMs?: number;
  /** What a person should read. */
  tell: (message: string) => void;
}

export interface OpenStore {
  readonly keyValue: KeyValue;
  /** In place of revisions in `keyValue`. */
  readonly revisions?: RevisionStore;
}

/** Where a control plane keeps what must outlive it. Rejects `invalid_argument` for a url that is none, `unavailable` when nobody answers there. */
export async function openStore({
  url,
  otherwise = "",
  dataDir,
  system,
  openTimeoutMs = OPEN_TIMEOUT_MS,
  tell,
}: StoreChoice): Promise<OpenStore> {
  const options = { url, system, openTimeoutMs };
  const patiently = (opening: Promise<KeyValue>) => tellWhileOpening(url, opening, openTimeoutMs, tell);
  const scheme = /^([a-z]+):\/\//.exec(url)?.[1] ?? "";
  switch (scheme) {
    case "":
      if (url !== "") break;
      return { keyValue: await openOwn(dataDir, tell) };
    case "etcd": {
      const { openEtcdKeyValue } = await import("../drivers/etcd/etcd-key-value.ts");
      const onError = (error: WeftError): void => tell(error.message);
      const onRecovered = (): void => tell("etcd answers again");
      return { keyValue: await patiently(openEtcdKeyValue({ ...options, onError, onRecovered })) };
    }
    case "git": {
      const { openGitRevisions } = await import("../drivers/git/git-revisions.ts");
      const onError = (error: WeftError | null): void =>
        tell(error === null ? "the repository can be read again" : error.message);
      const revisions = await openGitRevisions({ url, onError });
      try {
        const { keyValue } = await openStore({ url: otherwise, dataDir, system, openTimeoutMs, tell });
        return { keyValue, revisions };
      } catch (thrown) {
        await revisions.close();
        throw thrown;
      }
    }
    case "consul": {
      const { openConsulKeyValue } = await import("../drivers/consul/consul-key-value.ts");
      return { keyValue: await patiently(openConsulKeyValue(options)) };
    }
    case "kubernetes": {
      const { openKubernetesKeyValue } = await import("../drivers/kubernetes/kubernetes-key-value.ts");
      return { keyValue: await patiently(openKubernetesKeyValue(options)) };
    }
    case "postgres": {
      const { openPostgresKeyValue } = await import("../drivers/postgres/postgres-key-value.ts");
      return { keyValue: await patiently(openPostgresKeyValue(options)) };
    }
    case "zookeeper": {
      const { openZookeeperKeyValue } = await import("../drivers/zookeeper/zookeeper-key-value.ts");
      const onError = (error: WeftError): void => tell(error.message);
      const onRecovered = (): void => tell("ZooKeeper answers again");
      return { keyValue: await patiently(openZookeeperKeyValue({ ...options, onError, onRecovered })) };
    }
  }
  throw new WeftError("invalid_argument", `a store looks like ${LOOKS}`, { reason: "BAD_ADDRESS" });
}

/** The url of the store: the one given; otherwise the registry's, where that keeps stores, too, and there is no folder. "": none. */
export function storeUrlOf({
  store = "",
  registry = "",
  data,
}: {
  store?: string;
  registry?: string;
  data?: string;
}): string {
  if (store !== "" || data !== undefined) return store;
  return /^(?:etcd|consul|zookeeper|kubernetes|postgres):/.test(registry) ? registry : "";
}

async function openOwn(dataDir: string, tell: StoreChoice["tell"]): Promise<KeyValue> {
  if (dataDir === "") return new MemoryKeyValue();
  const store = await openSqliteKeyValue({ file: join(dataDir, STORE_FILE) });
  try {
    await migrateControlDatabase(dataDir, store, tell);
    return store;
  } catch (thrown) {
    await store.close();
    throw thrown;
  }
}

/** In a control plane's data folder. */
const STORE_FILE = "store.db";
const LOOKS =
  '"etcd://127.0.0.1:2379", "consul://127.0.0.1:8500", "zookeeper://127.0.0.1:2181", "kubernetes:///NAMESPACE", "postgres://USER@HOST/DATABASE", "git:///PATH/TO/REPOSITORY"';
