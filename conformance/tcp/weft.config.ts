import { defineSystem, route, tcpRoute, tlsRoute, traffic, udpRoute } from "weftmesh/system";

const [redis, tls, names, blob, told1, told2] = (process.env.SUITE_PORTS ?? "").split(",").map(Number);
const sh = (script: string, ...more: string[]): string[] => [
  "sh",
  `${import.meta.dirname}/${script}`,
  "$PORT",
  ...more,
];
const namesArguments = [
  "--no-daemon",
  "--listen-address=127.0.0.1",
  "--bind-interfaces",
  "--no-resolv",
  "--no-hosts",
  "--user=root",
];

/** Programs that are not weft's and do not speak HTTP, behind a gateway and behind sidecars. */
export default defineSystem({
  name: "bytes",
  gateway: {
    listen: 0,
    // haproxy connects from there.
    proxyProtocol: ["127.0.0.9"],
    listeners: {
      redis: `tcp:${redis}`,
      tls: `tls:${tls}`,
      names: `udp:${names}`,
      blob: `tcp:${blob}`,
      "told-1": `tcp:${told1}`,
      "told-2": `tcp:${told2}`,
    },
  },
  services: {
    redis: { run: sh("redis.sh"), protocol: "tcp", replicas: 2 },
    cache: { run: sh("redis.sh"), protocol: "tcp", sidecar: true, mtls: "strict" },
    shell: { run: "shell.ts", protocol: "http1", sidecar: { dns: true, virtualPorts: [6379] } },
    "site-a": { run: sh("tls-site.sh", "a.site.test"), protocol: "tcp" },
    "site-b": { run: sh("tls-site.sh", "b.site.test"), protocol: "tcp" },
    names: {
      run: [
        "dnsmasq",
        ...namesArguments,
        "--port=$PORT",
        "--address=/shop.test/192.0.2.1",
        "--address=/v6.test/2001:db8::1",
      ],
      protocol: "udp",
    },
    blob: { run: "blob.ts", protocol: "tcp" },
    "told-1": { run: sh("nginx-told.sh"), protocol: "tcp" },
    "told-2": { run: sh("haproxy-told.sh"), protocol: "tcp" },
    headers: { run: "headers.ts", protocol: "http1" },
  },
  routes: [
    tcpRoute("redis").to("redis"),
    tlsRoute("a.site.test").to("site-a"),
    tlsRoute("*.site.test").to("site-b"),
    udpRoute("names").to("names"),
    tcpRoute("blob").to("blob"),
    tcpRoute("told-1").to("told-1"),
    tcpRoute("told-2").to("told-2"),
    route("/").to("headers"),
  ],
  policies: [traffic("told-1").proxyProtocol("v1"), traffic("told-2").proxyProtocol("v2")],
});
