import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { WeftError } from "../../core/errors.ts";
import { type ProxyHeader, SIGNATURE } from "./proxy-header.ts";
import { ProxyHeaderReader } from "./proxy-header-reader.ts";
import { encodeProxyHeader } from "./proxy-header-writer.ts";

/** The header of the bytes, cut into chunks of a size, and how many bytes it took. */
function read(bytes: Uint8Array, chunk = bytes.length): { header: ProxyHeader | null; consumed: number } {
  const reader = new ProxyHeaderReader();
  for (let at = 0; at < bytes.length; at += chunk) {
    const header = reader.feed(bytes, at, Math.min(bytes.length, at + chunk));
    if (header !== null) return { header, consumed: at + reader.consumed };
  }
  return { header: null, consumed: 0 };
}

function line(text: string): Uint8Array {
  return Buffer.from(text, "latin1");
}

test("version 1 says who connected", () => {
  assert.deepEqual(read(line("PROXY TCP4 192.0.2.7 198.51.100.1 4711 443\r\nGET /")), {
    header: { command: "proxy", source: "192.0.2.7:4711", destination: "198.51.100.1:443" },
    consumed: 44,
  });
  assert.equal(read(line("PROXY TCP6 2001:db8::7 ::1 4711 443\r\n")).header?.source, "[2001:db8::7]:4711");
  assert.equal(read(line("PROXY UNKNOWN\r\n")).header?.source, "");
  assert.equal(read(line("PROXY UNKNOWN ffff:f::f ffff:f::f 65535 65535\r\n")).header?.source, "");
});

test("P3 a line that is not exact is refused", () => {
  for (const bad of [
    "PROXY TCP4 192.0.2.7 198.51.100.1 4711 443\n",
    "PROXY  TCP4 192.0.2.7 198.51.100.1 4711 443\r\n",
    "PROXY TCP4 192.0.2.7 198.51.100.1 4711 65536\r\n",
    "PROXY TCP4 192.0.2.7 198.51.100.1 04711 443\r\n",
    "PROXY TCP4 192.0.2.07 198.51.100.1 4711 443\r\n",
    "PROXY TCP4 ::1 ::1 4711 443\r\n",
    "PROXY TCP6 fe80::1%eth0 ::1 4711 443\r\n",
    "PROXY UDP4 192.0.2.7 198.51.100.1 4711 443\r\n",
    "PROXY TCP4 192.0.2.7 198.51.100.1 4711 443 1\r\n",
    "PROXYTCP4",
    "GET / HTTP/1.1\r\n",
    "\x16\x03\x01",
    `PROXY UNKNOWN ${"x".repeat(120)}`,
  ])
    assert.throws(() => read(line(bad)), /no PROXY protocol header/, bad);
});

test("version 2 with values behind the addresses, LOCAL, UNIX and no family", () => {
  const v2 = (command: number, family: number, body: readonly number[]): Uint8Array =>
    Uint8Array.of(...SIGNATURE, command, family, body.length >> 8, body.length & 255, ...body);
  const inet = [192, 0, 2, 7, 198, 51, 100, 1, 0x12, 0x67, 1, 0xbb];
  assert.deepEqual(read(v2(0x21, 0x11, [...inet, 0xea, 0, 2, 65, 66])).header, {
    command: "proxy",
    source: "192.0.2.7:4711",
    destination: "198.51.100.1:443",
  });
  assert.equal(read(v2(0x20, 0, [])).header?.command, "local");
  assert.equal(read(v2(0x20, 0x11, inet)).header?.source, "");
  assert.equal(read(v2(0x21, 0x31, new Array(216).fill(0))).header?.source, "");
  assert.equal(read(v2(0x21, 0, [1, 2, 3])).header?.source, "");
  for (const bad of [
    v2(0x31, 0x11, inet),
    v2(0x22, 0x11, inet),
    v2(0x21, 0x41, inet),
    v2(0x21, 0x13, inet),
    v2(0x21, 0x11, inet.slice(1)),
    v2(0x21, 0x11, [...inet, 0xea, 0, 9, 65]),
    v2(0x21, 0x11, [...inet, 0xea]),
    Uint8Array.of(...SIGNATURE.slice(0, 11), 1),
    Uint8Array.of(...SIGNATURE, 0x21, 0x11, 0xff, 0xff),
  ])
    assert.throws(() => read(bad), /no PROXY protocol header/);
});

test("P1 what is written is read, however it is cut", () => {
  const address = fc.oneof(
    fc.tuple(fc.ipV4(), fc.nat(65_535)).map(([host, port]) => `${host}:${port}`),
    fc
      .tuple(fc.array(fc.nat(65_535), { minLength: 8, maxLength: 8 }), fc.nat(65_535))
      .map(
        ([groups, port]) => `[${[0x2001, ...groups.slice(1)].map((group) => group.toString(16)).join(":")}]:${port}`,
      ),
  );
  fc.assert(
    fc.property(
      fc.constantFrom("v1" as const, "v2" as const),
      address,
      address,
      fc.integer({ min: 1, max: 64 }),
      (version, source, destination, chunk) => {
        const bytes = encodeProxyHeader(version, source, destination);
        const whole = read(Buffer.concat([bytes, Buffer.from("rest")]), chunk);
        assert.equal(whole.consumed, bytes.length);
        const port = source.slice(source.lastIndexOf(":"));
        assert.ok(whole.header?.source.endsWith(port));
        if (!source.startsWith("[") && !destination.startsWith("[")) assert.equal(whole.header?.source, source);
      },
    ),
  );
  assert.equal(
    read(encodeProxyHeader("v1", "[2001:db8:0:0:0:0:0:7]:1", "10.0.0.1:2")).header?.destination,
    "10.0.0.1:2",
  );
  assert.equal(read(encodeProxyHeader("v2", "[2001:db8::7]:1", "10.0.0.1:2")).header?.source, "[2001:db8::7]:1");
  assert.equal(encodeProxyHeader("v1", "unknown", "10.0.0.1:2").toString(), "PROXY UNKNOWN\r\n");
});

test("P2 no bytes make it throw anything but its own error", () => {
  const prefix = fc.constantFrom(line("PROXY TCP4 "), SIGNATURE, Uint8Array.of(...SIGNATURE, 0x21, 0x11), line(""));
  fc.assert(
    fc.property(prefix, fc.uint8Array({ maxLength: 600 }), fc.integer({ min: 1, max: 32 }), (head, tail, chunk) => {
      try {
        read(Uint8Array.of(...head, ...tail), chunk);
      } catch (error) {
        assert.ok(error instanceof WeftError);
      }
    }),
  );
});
