import { execFile } from "node:child_process";
import { createSocket } from "node:dgram";
import { Resolver } from "node:dns/promises";
import type { Case, Suite } from "./suite.ts";
import { type RunningSystem, withSystem } from "./system.ts";

/** Names of a running system as resolvers that others wrote see them: dig (BIND), c-ares (Node), and Python's dnspython where it is installed. */
export const dns: Suite = {
  name: "dns",
  run: () => withSystem("conformance/names", cases),
};

async function cases(system: RunningSystem): Promise<Case[]> {
  const { dns: address } = await system.ps();
  const port = Number(/:(\d+)$/.exec(address ?? "")?.[1]);
  const dig = (...args: string[]) => output("dig", ["@127.0.0.1", "-p", `${port}`, "+time=2", "+tries=1", ...args]);
  const resolver = new Resolver();
  resolver.setServers([`127.0.0.1:${port}`]);
  const done: Case[] = [];
  const check = async (name: string, what: () => Promise<string>, expected: RegExp) => {
    const found = await what().catch((error) => `${error.code ?? error.message}`);
    done.push({ name, ok: expected.test(found), detail: found.slice(0, 400) });
  };

  /** What was changed at the control plane: news of it comes to the names over a line. */
  const comes = async (name: string, what: () => Promise<string>, expected: RegExp) => {
    const until = performance.now() + NEWS_MS;
    for (let found = ""; !expected.test(found) && performance.now() < until; )
      found = await what().catch((error) => `${error.code ?? error.message}`);
    await check(name, what, expected);
  };

  const srv = /^(0 1 \d+ counter-v1-[12]\.endpoint\.counter\.weft\.\n){2}$/;
  await comes("dig: every instance", () => dig("+short", "counter.weft", "SRV"), /^(0 1 \d+ \S+\n){3}$/);
  await check("dig: A over UDP", () => dig("+short", "+notcp", "counter.weft"), /^127\.0\.0\.1\n$/);
  await check("dig: A over TCP", () => dig("+short", "+tcp", "counter.weft"), /^127\.0\.0\.1\n$/);
  await check("dig: SRV of a version", () => dig("+short", "v1.counter.weft", "SRV"), srv);
  await check("dig: SRV for gRPC", () => dig("+short", "_grpc._tcp.v1.counter.weft", "SRV"), srv);
  await check("dig: SRV for HTTP", () => dig("+short", "_http._tcp.v1.counter.weft", "SRV"), srv);
  await check(
    "dig: addresses of targets come along",
    () => dig("counter.weft", "SRV"),
    /ADDITIONAL SECTION:\n(counter-v\d-\d\S+\s+5\s+IN\s+A\s+127\.0\.0\.1\n){3}/,
  );
  await check(
    "dig: no warning but that there is no recursion",
    () => dig("+norec", "counter.weft"),
    /^(?![\s\S]*(WARNING|malformed|Warning))[\s\S]*flags: qr aa;/,
  );
  await check("dig: NXDOMAIN with SOA", () => dig("nobody.weft"), /status: NXDOMAIN[\s\S]*AUTHORITY: 1[\s\S]*\tSOA\t/);
  await check("dig: no such type", () => dig("counter.weft", "MX"), /status: NOERROR[\s\S]*ANSWER: 0, AUTHORITY: 1/);
  await check("dig: nothing at it, but below", () => dig("_tcp.counter.weft"), /status: NOERROR[\s\S]*ANSWER: 0/);
  await check("dig: names of others", () => dig("example.com"), /status: REFUSED/);
  await check("dig: zone transfer", () => dig("weft", "AXFR"), /Transfer failed/);
  await check("dig: ANY", () => dig("+short", "+notcp", "counter.weft", "ANY"), /^"RFC8482" ""\n$/);
  await check("dig: case of the question", () => dig("+noall", "+answer", "CoUnTeR.wEfT"), /^CoUnTeR\.wEfT\.\s+5/);
  await check("dig: without EDNS", () => dig("+noedns", "counter.weft"), /^(?![\s\S]*OPT PSEUDO)[\s\S]*ANSWER: 1,/);
  await check("dig: EDNS of 512 bytes", () => dig("+bufsize=512", "counter.weft"), /udp: 1232[\s\S]*127\.0\.0\.1/);
  await check("dig: EDNS of a later version", () => dig("+edns=1", "+noednsneg", "counter.weft"), /status: BADVERS/);
  await check("dig: unknown option", () => dig("+ednsopt=100:00ff", "counter.weft"), /status: NOERROR/);
  await check("dig: unknown operation", () => dig("+opcode=2", "counter.weft"), /status: NOTIMP/);
  await check(
    "dig: several over one connection",
    () => dig("+tcp", "+keepopen", "+short", "counter.weft", "counter.weft"),
    /^(127\.0\.0\.1\n){2}$/,
  );
  await check("dig: SOA and NS", () => dig("+short", "weft", "SOA", "weft", "NS"), /^ns\.weft\. hostmaster\.weft\. /);

  await check("c-ares: addresses", async () => (await resolver.resolve4("counter.weft")).join(), /^127\.0\.0\.1$/);
  const ports = async () => (await resolver.resolveSrv("counter.weft")).map((one) => one.port).sort();
  await check("c-ares: SRV", async () => (await ports()).join(), /^\d+,\d+,\d+$/);
  await check("c-ares: no such name", async () => (await resolver.resolve4("nobody.weft")).join(), /^ENOTFOUND$/);
  await check("c-ares: no such type", async () => (await resolver.resolve6("counter.weft")).join(), /^ENODATA$/);

  // What was registered by hand: an address of IPv6, and one that is taken out of rotation and put back.
  const registered = async (...args: string[]) => (await system.weft("registry", ...args)).output;
  const hand = ["register", "--service", "hand", "--ttl", "none", "--metadata", "weft.health-check=ttl"];
  await check(
    "weft registry register, over IPv6",
    () => registered(...hand, "--address", "[fd00::7]:81"),
    /^registered hand/,
  );
  await check(
    "weft registry register, over IPv4",
    () => registered(...hand, "--id", "hand-4", "--address", "10.0.0.7:80"),
    /^registered/,
  );
  await comes("dig: AAAA", () => dig("+short", "hand.weft", "AAAA"), /^fd00::7\n$/);
  await comes("dig: A beside AAAA", () => dig("+short", "hand.weft"), /^10\.0\.0\.7\n$/);
  await check(
    "dig: AAAA of an SRV record's target",
    () => dig("hand.weft", "SRV"),
    /ADDITIONAL SECTION:[\s\S]*\s5\s+IN\s+AAAA\s+fd00::7/,
  );
  await check("c-ares: AAAA", async () => (await resolver.resolve6("hand.weft")).join(), /^fd00::7$/);
  await check("weft registry health unhealthy", () => registered("health", "hand-4", "unhealthy"), /is unhealthy/);
  await comes("dig: an unhealthy endpoint is in no answer", () => dig("hand.weft"), /status: NOERROR[\s\S]*ANSWER: 0/);
  await check("dig: nor in SRV", () => dig("+short", "hand.weft", "SRV"), /^0 1 81 \S+\n$/);
  await check("weft registry health healthy", () => registered("health", "hand-4", "healthy"), /is healthy/);
  await comes("dig: and back when it is well", () => dig("+short", "hand.weft"), /^10\.0\.0\.7\n$/);
  await check("weft registry deregister", () => registered("deregister", "hand-4"), /is deregistered/);
  await comes("dig: and gone", () => dig("hand.weft"), /status: NOERROR[\s\S]*ANSWER: 0/);

  const script = `import sys
try: import dns.resolver, dns.message, dns.query
except ImportError: print("not installed"); sys.exit()
for how in (dns.query.udp, dns.query.tcp):
  a = how(dns.message.make_query("counter.weft", "SRV", use_edns=True), "127.0.0.1", port=${port}, timeout=2)
  print(len(a.answer[0]), len(a.additional), a.rcode())`;
  await check(
    "dnspython, where it is installed",
    () => output("python3", ["-c", script]),
    /^(3 3 0\n3 3 0|not installed)\n$/,
  );

  await hostile(port);
  // A query that finds the socket's buffer full of them is lost, as datagrams are, and asked again.
  const again = () => dig("+short", "+tries=3", "counter.weft");
  await check("an answer after hostile packets", again, /^127\.0\.0\.1\n$/);

  const before = await ports();
  let failed = "";
  let asking = true;
  const asked = (async () => {
    for (; asking; await new Promise((resolve) => setTimeout(resolve, 10)))
      await resolver.resolveSrv("counter.weft").catch((error) => void (failed = error.code));
  })();
  await system.weft("restart", "counter");
  asking = false;
  await asked;
  await check("a restart: always answered", async () => failed, /^$/);
  await comes(
    "a restart: other ports",
    async () => `${(await ports()).filter((one) => before.includes(one)).length} ${(await ports()).length}`,
    /^0 3$/,
  );
  return done;
}

const NEWS_MS = 2_000;

/** Packets of every length, random and like queries; whatever comes back is not looked at. */
async function hostile(port: number): Promise<void> {
  const socket = createSocket("udp4");
  let seed = 1;
  const random = () => (seed = (seed * 48_271) % 0x7fff_ffff) & 0xff;
  for (let length = 0; length < 600; length++) {
    const bytes = Uint8Array.from({ length }, random);
    if (length % 2 === 0) bytes.set([0, 1, 1, 0, 0, 1, 0, 0, 0, 0, 0, 1].slice(0, length));
    await new Promise((sent) => socket.send(bytes, port, "127.0.0.1", sent));
  }
  socket.close();
}

function output(program: string, args: string[]): Promise<string> {
  return new Promise((resolve, reject) => {
    execFile(program, args, { timeout: 20_000 }, (error, stdout) => {
      if (error !== null && stdout === "") reject(error);
      else resolve(stdout);
    });
  });
}
