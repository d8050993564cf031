import { serve } from "weftmesh";
import { trial } from "./service.ts";

await serve(trial);
