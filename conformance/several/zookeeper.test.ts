import { ZookeeperServer } from "../zookeeper/server.ts";
import { severalPlanes } from "./several-planes.ts";

severalPlanes(
  "ZooKeeper",
  () => ZookeeperServer.start(),
  (address) => `zookeeper://${address}`,
);
