import { defineSystem } from "weftmesh/system";

export default defineSystem({
  name: "through",
  gateway: { listen: 0 },
  services: { counter: { run: "../../examples/counter/main.ts", replicas: 2 } },
});
