import { createServer } from "node:http";

/** Says who it is told that called. */
createServer((request, response) => response.end(`from ${request.headers["x-forwarded-for"]}\n`)).listen(
  Number(process.env.PORT),
  "127.0.0.1",
);
