import { controlPlanes } from "../control-planes.ts";
import { EtcdServer } from "./server.ts";

controlPlanes("etcd", { server: () => EtcdServer.start(), url: (address) => `etcd://${address}` });
