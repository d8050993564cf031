import { controlPlanes } from "../control-planes.ts";
import { PostgresServer } from "./server.ts";

controlPlanes("PostgreSQL", { server: () => PostgresServer.start(), url: PostgresServer.url });
