import { join } from "node:path";
import { WeftError } from "../core/errors.ts";
import { createMemoryRegistry } from "../drivers/memory/memory-registry.ts";
import { openSqliteRegistry } from "../drivers/sqlite/sqlite-registry.ts";
import type { ConsistencyMode, Registry } from "../registry/registry.ts";
import { REGISTRY_FILE } from "./registry-file.ts";
import { OPEN_TIMEOUT_MS, tellWhileOpening } from "./tell-while-opening.ts";
import { vendorOf } from "./vendor.ts";

export interface RegistryChoice {
  /** "etcd://...": shared with other control planes. "": one of the control plane's own. */
  url: string;
  /** Folder of the control plane; "": everything is kept in memory. */
  dataDir: string;
  system: string;
  /** Default "available". */
  mode?: ConsistencyMode;
  /** How long opening waits for who does not answer, ms. Default 10,000. */
  openTimeoutMs?: number;
  /** What a person should read. */
  tell: (message: string) => void;
}

/** Where a control plane keeps endpoints. Rejects `invalid_argument` for a url that is none, `unavailable` when nobody answers there. */
export async function openRegistry({
  url,
  dataDir,
  system,
  mode,
  openTimeoutMs = OPEN_TIMEOUT_MS,
  tell,
}: RegistryChoice): Promise<Registry> {
  const onError = (error: WeftError): void => tell(error.message);
  const [, scheme = ""] = /^([a-z]+):\/\//.exec(url) ?? [];
  const options = {
    url,
    system,
    mode,
    openTimeoutMs,
    onError,
    onRecovered: () => tell(`${vendorOf(url)} answers again`),
  };
  const patiently = (opening: Promise<Registry>) => tellWhileOpening(url, opening, openTimeoutMs, tell);
  switch (scheme) {
    case "consul":
      return patiently((await import("../drivers/consul/consul-registry.ts")).openConsulRegistry(options));
    case "dns":
      return patiently((await import("../drivers/dns/dns-registry.ts")).openDnsRegistry(options));
    case "etcd":
      return patiently((await import("../drivers/etcd/etcd-registry.ts")).openEtcdRegistry(options));
    case "kubernetes":
      return patiently((await import("../drivers/kubernetes/kubernetes-registry.ts")).openKubernetesRegistry(options));
    case "postgres":
      return patiently((await import("../drivers/postgres/postgres-registry.ts")).openPostgresRegistry(options));
    case "zookeeper":
      return patiently((await import("../drivers/zookeeper/zookeeper-registry.ts")).openZookeeperRegistry(options));
  }
  // It may hold a password: it is not repeated.
  if (url !== "") throw new WeftError("invalid_argument", `a registry looks like ${LOOKS}`, { reason: "BAD_ADDRESS" });
  return dataDir === ""
    ? createMemoryRegistry({ mode })
    : openSqliteRegistry({ file: join(dataDir, REGISTRY_FILE), mode, onError });
}

const LOOKS =
  '"etcd://127.0.0.1:2379", "consul://127.0.0.1:8500", "zookeeper://127.0.0.1:2181", "kubernetes:///NAMESPACE", "postgres://USER@HOST/DATABASE", "dns://127.0.0.1:53/DOMAIN"';
