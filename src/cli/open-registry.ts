import { join } from "node:path";
import type { WeftError } from "../core/errors.ts";
import { createMemoryRegistry } from "../drivers/memory/memory-registry.ts";
import { openSqliteRegistry } from "../drivers/sqlite/sqlite-registry.ts";
import type { Registry } from "../registry/registry.ts";
import { REGISTRY_FILE } from "./registry-file.ts";

export interface RegistryChoice {
  /** "etcd://...": shared with other control planes. "": one of the control plane's own. */
  url: string;
  /** Folder of the control plane; "": everything is kept in memory. */
  dataDir: string;
  system: string;
  /** What a person should read. */
  tell: (message: string) => void;
}

/** Where a control plane keeps endpoints. Rejects `invalid_argument` for a url that is none, `unavailable` when nobody answers there. */
export async function openRegistry({ url, dataDir, system, tell }: RegistryChoice): Promise<Registry> {
  const onError = (error: WeftError): void => tell(error.message);
  switch (/^([a-z]+):\/\//.exec(url)?.[1]) {
    case "consul": {
      const { openConsulRegistry } = await import("../drivers/consul/consul-registry.ts");
      return openConsulRegistry({ url, system, onError, onRecovered: () => tell("Consul answers again") });
    }
    case "kubernetes": {
      const { openKubernetesRegistry } = await import("../drivers/kubernetes/kubernetes-registry.ts");
      return openKubernetesRegistry({ url, system, onError, onRecovered: () => tell("Kubernetes answers again") });
    }
    case "zookeeper": {
      const { openZookeeperRegistry } = await import("../drivers/zookeeper/zookeeper-registry.ts");
      return openZookeeperRegistry({ url, system, onError, onRecovered: () => tell("ZooKeeper answers again") });
    }
  }
  if (url !== "") {
    const { openEtcdRegistry } = await import("../drivers/etcd/etcd-registry.ts");
    return openEtcdRegistry({ url, system, onError, onRecovered: () => tell("etcd answers again") });
  }
  return dataDir === "" ? createMemoryRegistry() : openSqliteRegistry({ file: join(dataDir, REGISTRY_FILE), onError });
}
