// What `weft up` runs: it gives the port, and the address of the control plane to register with.
import { serve } from "weftmesh";
import { counter } from "./service.ts";

await serve(counter);
