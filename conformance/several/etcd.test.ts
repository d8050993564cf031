import { EtcdServer } from "../etcd/server.ts";
import { severalPlanes } from "./several-planes.ts";

severalPlanes(
  "etcd",
  () => EtcdServer.start(),
  (address) => `etcd://${address}`,
);
