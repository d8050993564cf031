/**
 * An xDS server in one file: a cluster, a route and a listener for a stock Envoy.
 *
 *     node main.ts                                         serves the resources, and something to call
 *     weft envoy-bootstrap --service hello --control 127.0.0.1:18000 > envoy.yaml
 *     envoy -c envoy.yaml
 *     curl http://127.0.0.1:10000/                         hello
 *
 * XDS_PORT and LISTEN_PORT choose other ports.
 */
import { createServer } from "node:http";
import { cluster, listener, route, routeConfiguration, serveXds, virtualHost } from "weftmesh/xds";

const backend = createServer((_, response) => response.end("hello\n")).listen(0, "127.0.0.1");
await new Promise((resolve) => backend.once("listening", resolve));
const { port } = backend.address() as { port: number };

const resources = (version: number) => [
  cluster("hello", { endpoints: [`127.0.0.1:${port}`] }),
  routeConfiguration("main", [
    virtualHost(
      "everybody",
      ["*"],
      [
        route("/", {
          to: "hello",
          timeoutMs: 2_000,
          retry: { attempts: 2 },
          responseHeaders: { "x-version": `${version}` },
        }),
      ],
    ),
  ]),
  listener("ingress", { address: `127.0.0.1:${process.env.LISTEN_PORT ?? 10_000}`, routes: "main" }),
];

const xds = await serveXds({ port: Number(process.env.XDS_PORT ?? 18_000), resources: resources(1) });
console.log(`xDS at ${xds.address}`);

// Resources are replaced while data planes run: they are told what changed, and no call fails meanwhile.
let version = 1;
setInterval(() => xds.update(resources(++version)), 5_000);
