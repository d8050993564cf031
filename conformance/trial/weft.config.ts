import { defineSystem } from "weftmesh/system";

export default defineSystem({
  name: "trial",
  gateway: { listen: 0 },
  services: { trial: { run: "main.ts", replicas: 3 } },
});
