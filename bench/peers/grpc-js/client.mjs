// A grpc-js unary client, the peer of bench/client.ts.
import { join } from "node:path";
import grpc from "@grpc/grpc-js";
import { loadSync } from "@grpc/proto-loader";
import { drive } from "../../lib/drive.mjs";

const [port, calls] = process.argv.slice(2);
const { counter } = grpc.loadPackageDefinition(
  loadSync(join(import.meta.dirname, "..", "grpc-go", "counter.proto"), { longs: Number }),
);
const client = new counter.v1.Counter(`127.0.0.1:${port}`, grpc.credentials.createInsecure());
const request = { count: 1 };
const call = () =>
  new Promise((resolve, reject) => client.Count(request, (error, answer) => (error ? reject(error) : resolve(answer))));
await drive(call, Number(calls));
client.close();
