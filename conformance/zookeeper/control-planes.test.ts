import { controlPlanes } from "../control-planes.ts";
import { ZookeeperServer } from "./server.ts";

controlPlanes("ZooKeeper", { server: () => ZookeeperServer.start(), url: (address) => `zookeeper://${address}` });
