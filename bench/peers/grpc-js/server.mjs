// A grpc-js server of counter.v1.Counter/Count, the peer of bench/grpc-server.ts.
import { join } from "node:path";
import grpc from "@grpc/grpc-js";
import { loadSync } from "@grpc/proto-loader";

const { counter } = grpc.loadPackageDefinition(
  loadSync(join(import.meta.dirname, "..", "grpc-go", "counter.proto"), { longs: Number }),
);
const server = new grpc.Server();
server.addService(counter.v1.Counter.service, {
  Count: (call, callback) => callback(null, { count: call.request.count + 1 }),
});
server.bindAsync(`127.0.0.1:${process.env.PORT}`, grpc.ServerCredentials.createInsecure(), (error) => {
  if (error) throw error;
});
