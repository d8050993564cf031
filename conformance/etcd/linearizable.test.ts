import { createDirectClient } from "../../src/call/direct.ts";
import { KV } from "../../src/contract/gen/etcdserverpb/rpc.ts";
import { openEtcdKeyValue } from "../../src/drivers/etcd/etcd-key-value.ts";
import { openEtcdRegistry } from "../../src/drivers/etcd/etcd-registry.ts";
import { judgeDriver } from "../linearizable-faults.ts";
import { EtcdServer } from "./server.ts";

judgeDriver(
  "etcd",
  {
    server: () => EtcdServer.start(),
    url: (address) => `etcd://${address}`,
    openRegistry: openEtcdRegistry,
    openKeyValue: openEtcdKeyValue,
  },
  {},
  compact,
);

/** What those that are cut off would hear of first is not told any more. */
async function compact({ address }: EtcdServer): Promise<void> {
  await using direct = createDirectClient(KV, address);
  const { header } = await direct.client.range({ key: Buffer.of(1) });
  await direct.client.compact({ revision: header?.revision ?? 0n, physical: true });
}
