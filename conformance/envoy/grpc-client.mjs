// node grpc-client.mjs FOLDER xds:///NAME METHOD COUNT: unary calls by grpc-js with xDS; prints how they ended and which versions answered, as JSON.
import { createRequire } from "node:module";

const [folder, target, method, count] = process.argv.slice(2);
const require = createRequire(`${folder}/client.js`);
const { Client, credentials } = require("@grpc/grpc-js");
require("@grpc/grpc-js-xds").register();
const client = new Client(target, credentials.createInsecure());
const same = (bytes) => bytes;
const codes = {};
const versions = {};
for (let i = 0; i < Number(count); i++) {
  await new Promise((resolve) => {
    const call = client.makeUnaryRequest(method, same, same, Buffer.alloc(0), (error) => {
      const code = error === null ? 0 : error.code;
      if (code === 14) console.error(error.details);
      codes[code] = (codes[code] ?? 0) + 1;
      resolve();
    });
    call.on("metadata", (metadata) => {
      const version = String(metadata.get("x-version")[0] ?? "");
      versions[version] = (versions[version] ?? 0) + 1;
    });
  });
}
console.log(JSON.stringify({ codes, versions }));
process.exit(0);
