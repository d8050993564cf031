import { ConsulServer } from "../consul/server.ts";
import { severalPlanes } from "./several-planes.ts";

severalPlanes(
  "Consul",
  () => ConsulServer.start(),
  (address) => `consul://${address}`,
);
