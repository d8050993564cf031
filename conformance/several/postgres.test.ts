import { PostgresServer } from "../postgres/server.ts";
import { severalPlanes } from "./several-planes.ts";

severalPlanes(
  "PostgreSQL",
  () => PostgresServer.start(),
  (address) => PostgresServer.url(address),
);
