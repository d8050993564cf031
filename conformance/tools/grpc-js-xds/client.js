// node client.js xds:///NAME: one empty call to grpc.testing.TestService by grpc-js, found by xDS.
import { Client, credentials } from "@grpc/grpc-js";
import { register } from "@grpc/grpc-js-xds";

register();
const client = new Client(process.argv[2], credentials.createInsecure());
const same = (bytes) => bytes;
client.waitForReady(Date.now() + 10_000, (error) => {
  if (error) throw error;
  client.makeUnaryRequest("/grpc.testing.TestService/EmptyCall", same, same, Buffer.alloc(0), (failed) => {
    if (failed) throw failed;
    process.exit(0);
  });
});
