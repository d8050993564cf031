import { join } from "node:path";
import { WeftError } from "../core/errors.ts";
import { createMemoryRegistry } from "../drivers/memory/memory-registry.ts";
import { openSqliteRegistry } from "../drivers/sqlite/sqlite-registry.ts";
import type { ConsistencyMode, Registry } from "../registry/registry.ts";
import { REGISTRY_FILE } from "./registry-file.ts";

export interface RegistryChoice {
  /** "etcd://...": shared with other control planes. "": one of the control plane's own. */
  url: string;
  /** Folder of the control plane; "": everything is kept in memory. */
  dataDir: string;
  system: string;
  /** Default "available". */
  mode?: ConsistencyMode;
  /** What a person should read. */
  tell: (message: string) => void;
}

/** Where a control plane keeps endpoints. Rejects `invalid_argument` for a url that is none, `unavailable` when nobody answers there. */
export async function openRegistry({ url, dataDir, system, mode, tell }: RegistryChoice): Promise<Registry> {
  const onError = (error: WeftError): void => tell(error.message);
  switch (/^([a-z]+):\/\//.exec(url)?.[1]) {
    case "consul": {
      const { openConsulRegistry } = await import("../drivers/consul/consul-registry.ts");
      return openConsulRegistry({ url, system, mode, onError, onRecovered: () => tell("Consul answers again") });
    }
    case "dns": {
      const { openDnsRegistry } = await import("../drivers/dns/dns-registry.ts");
      return openDnsRegistry({ url, mode, onError, onRecovered: () => tell("DNS answers again") });
    }
    case "etcd": {
      const { openEtcdRegistry } = await import("../drivers/etcd/etcd-registry.ts");
      return openEtcdRegistry({ url, system, mode, onError, onRecovered: () => tell("etcd answers again") });
    }
    case "kubernetes": {
      const { openKubernetesRegistry } = await import("../drivers/kubernetes/kubernetes-registry.ts");
      return openKubernetesRegistry({
        url,
        system,
        mode,
        onError,
        onRecovered: () => tell("Kubernetes answers again"),
      });
    }
    case "postgres": {
      const { openPostgresRegistry } = await import("../drivers/postgres/postgres-registry.ts");
      return openPostgresRegistry({ url, system, mode, onError, onRecovered: () => tell("PostgreSQL answers again") });
    }
    case "zookeeper": {
      const { openZookeeperRegistry } = await import("../drivers/zookeeper/zookeeper-registry.ts");
      return openZookeeperRegistry({ url, system, mode, onError, onRecovered: () => tell("ZooKeeper answers again") });
    }
  }
  // It may hold a password: it is not repeated.
  if (url !== "") throw new WeftError("invalid_argument", `a registry looks like ${LOOKS}`, { reason: "BAD_ADDRESS" });
  return dataDir === ""
    ? createMemoryRegistry({ mode })
    : openSqliteRegistry({ file: join(dataDir, REGISTRY_FILE), mode, onError });
}

const LOOKS =
  '"etcd://127.0.0.1:2379", "consul://127.0.0.1:8500", "zookeeper://127.0.0.1:2181", "kubernetes:///NAMESPACE", "postgres://USER@HOST/DATABASE", "dns://127.0.0.1:53/DOMAIN"';
