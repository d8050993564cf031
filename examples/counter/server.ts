// The counter alone: gRPC (h2c) and REST on PORT, 50051 unless said otherwise.
//
//     node examples/counter/server.ts
//     curl http://127.0.0.1:50051/counter
import { serve } from "weftmesh";
import { counter } from "./service.ts";

await serve(counter, { port: Number(process.env.PORT ?? 50051) });
