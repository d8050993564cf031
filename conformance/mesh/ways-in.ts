import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Case } from "../suite.ts";
import { weftCommand } from "../system.ts";
import { tool } from "../tools.ts";
import { run, said, until } from "./commands.ts";
import { ended, Namespace } from "./namespace.ts";
import { Outsiders } from "./outsiders.ts";

/**
 * The two ways in for programs that know of no proxy, each with programs that are not weft's (HTTP_PROXY is shown by the suite "sidecar"): names that the sidecar's DNS
 * server answers with virtual addresses, and all of a network namespace's traffic intercepted, by nftables and by iptables. The services are on this machine, their callers in
 * the namespace.
 */
export async function waysIn(): Promise<Case[]> {
  if (process.platform !== "linux" || process.getuid?.() !== 0)
    return [{ name: "names and interception (Linux, as root)", ok: true, detail: "left out here" }];
  const dir = mkdtempSync(join(tmpdir(), "weft-mesh-"));
  try {
    await using namespace = await Namespace.open();
    const programs = new Outsiders(dir);
    await services(namespace, programs);
    return [...(await named(namespace, programs)), ...(await intercepted(namespace, programs))];
  } finally {
    rmSync(dir, { recursive: true, force: true });
  }
}

const weft = (...args: string[]): string[] => [process.execPath, ...weftCommand, ...args];
const command = (...args: string[]) => run(weft(...args)[0], weft(...args).slice(1));

async function services(namespace: Namespace, { app, echo }: Outsiders): Promise<void> {
  const { host } = namespace;
  // What it is about is the ways in: nobody here has a token.
  await said(namespace.outside(weft("control", "--listen", `${host}:17070`, "--plain")), /control plane/);
  await said(namespace.outside(["python3", app, "127.0.0.1", "17080"]), /listening/);
  await said(namespace.outside(["python3", app, host, "17081"]), /listening/);
  await said(namespace.outside(["python3", echo, host, "17082"]), /listening/);
  namespace.outside([tool("grpc-peer"), "server", "127.0.0.1:17083", "v1"]);
  for (const [service, port, listen] of [
    ["orders", 17_080, 17_090],
    ["greeter", 17_083, 17_093],
  ] as const) {
    const at = ["--app", `127.0.0.1:${port}`, "--listen", `${host}:${listen}`, "--control", `${host}:17070`];
    await said(namespace.outside(weft("sidecar", "--service", service, ...at)), new RegExp(`${service} at`));
  }
}

/** No rule, no proxy: the sidecar is whom programs ask for names. */
async function named(namespace: Namespace, programs: Outsiders): Promise<Case[]> {
  const cases: Case[] = [];
  const { host } = namespace;
  namespace.resolveBy("127.0.0.1");
  const ways = ["--dns", "127.0.0.1:53", "--resolver", "none", "--virtual", "127.81.0.0/16"];
  const at = ["--app", "127.0.0.1:9", "--control", `${host}:17070`];
  const sidecar = namespace.start(weft("sidecar", "--service", "web", ...at, ...ways));
  await said(sidecar, /web at/);
  // A sidecar that listens registers its application once it has met it.
  await until(20_000, async () =>
    /answer/.test((await namespace.run("curl", ["-sS", "-m", "10", "http://orders.weft/"])).output),
  );
  const { output: address } = await namespace.run("getent", ["ahostsv4", "orders.weft"]);
  cases.push({
    name: "a name: its address is a virtual loopback address",
    ok: /^127\.81\.\d+\.\d+ /.test(address),
    detail: address,
  });
  for (const [name, [program, ...args], answered] of await programs.callers(
    "http://orders.weft",
    "greeter.weft:50051",
  )) {
    const { output } = await namespace.run(program, args);
    cases.push({ name: `a name: ${name}`, ok: answered.test(output), detail: output.slice(-400) });
  }
  const { output } = await namespace.run("curl", ["-sS", "-m", "10", "http://elsewhere.test/"]);
  cases.push({ name: "a name: no other is answered", ok: /resolve/i.test(output), detail: output });
  await ended(sidecar);
  return cases;
}

async function intercepted(namespace: Namespace, programs: Outsiders): Promise<Case[]> {
  const cases: Case[] = [];
  const { name: netns, host, inside } = namespace;
  // Nobody answers there.
  namespace.resolveBy("10.99.99.99");
  // The application listens on loopback alone: who reaches it from outside of the namespace came by the sidecar.
  await said(namespace.start(["python3", programs.app, "127.0.0.1", "17085"]), /listening/);
  const at = ["--app", "127.0.0.1:17085", "--listen", `${inside}:17095`, "--control", `${host}:17070`];
  const ways = ["--transparent", "127.0.0.1:15001", "--dns", "127.0.0.1:15053", "--resolver", "none", "--gid", "1337"];
  await said(namespace.start(weft("sidecar", "--service", "web", ...at, ...ways)), /web at/);
  const check = (name: string, output: string, expected: RegExp): void =>
    void cases.push({ name: `intercepted: ${name}`, ok: expected.test(output), detail: output.slice(-400) });
  const curl = async (...args: string[]) => (await namespace.run("curl", ["-sS", "-m", "10", ...args])).output;
  const intercept = async (...args: string[]) => (await command("intercept", ...args, "--netns", netns)).output;
  const up = ["up", "--outbound", "15001", "--dns", "15053", "--inbound", "17095", "--app", "17085"];
  const call = async () => (await run("curl", ["-sS", "-m", "10", `http://${inside}:17085/in`])).output;
  try {
    check("without rules nothing is found", await curl("http://orders.weft/"), /resolve|timed out/i);
    check("without rules nobody gets to the application", await call(), /refused|couldn't connect/i);
    check("up", await intercept(...up), /intercepted by nft/);
    check("up a second time", await intercept(...up), /intercepted by nft/);
    for (const [name, [program, ...args], answered] of await programs.callers(
      "http://orders.weft",
      "greeter.weft:50051",
    ))
      check(name, (await namespace.run(program, args)).output, answered);
    check("curl, at any port", await curl("http://orders.weft:7777/b"), /answer \/b/);
    check("curl, HTTP to an address outside of the mesh", await curl(`http://${host}:17081/c`), /answer \/c/);
    check("curl, a service that nobody is", await curl("http://nobody.weft/"), /NO_HEALTHY_ENDPOINT/);
    const raw = `import socket; s = socket.create_connection(("${host}", 17082), 10); s.sendall(b"\\x00raw"); print(s.recv(100))`;
    check(
      "bytes that are no HTTP, to where they were to go",
      (await namespace.run("python3", ["-c", raw])).output,
      /echo \\x00raw/,
    );
    check("status counts", await intercept("status"), /virtual \S+\s+[1-9]\d* connection/);
    check(
      "status counts what the sidecar sends itself, which is left alone",
      await intercept("status"),
      /exempt-gid 1337\s+[1-9]\d* connection/,
    );
    check("calls for the application come in by the sidecar", await call(), /answer \/in/);
    check("status counts them", await intercept("status"), /inbound 17085 to 17095\s+[1-9]\d* connection/);
    check("down", await intercept("down"), /nothing is intercepted any more/);
    check("nothing is left", (await namespace.run("nft", ["list", "ruleset"])).output, /^\s*$/);
    check("down a second time", await intercept("down"), /nothing was intercepted/);

    check("by iptables: up", await intercept(...up, "--with", "iptables"), /intercepted by iptables/);
    const there = await until(10_000, async () => /answer \/d/.test(await curl("http://orders.weft/d")));
    check("by iptables: curl", there ? "there" : await curl("http://orders.weft/d"), /there/);
    check("by iptables: bytes", (await namespace.run("python3", ["-c", raw])).output, /echo \\x00raw/);
    check("by iptables: calls for the application", await call(), /answer \/in/);
    check(
      "by iptables: status counts",
      await intercept("status", "--with", "iptables"),
      /virtual \S+\s+[1-9]\d* connection/,
    );
    check("by iptables: down", await intercept("down", "--with", "iptables"), /nothing is intercepted any more/);
    const { output: left } = await namespace.run("iptables-save", []);
    check("by iptables: nothing is left", /WEFT|REDIRECT|DNAT/.test(left) ? left : "nothing", /^nothing$/);
    const none = await command("intercept", "status", "--netns", "weft-none");
    check("a namespace that is not there", none.output, /there is no network namespace/);
  } finally {
    await intercept("down");
    await intercept("down", "--with", "iptables");
  }
  return cases;
}
