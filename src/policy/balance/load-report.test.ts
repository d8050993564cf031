import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { LoadReport } from "./load-report.ts";

function double(value: number): Buffer {
  const bytes = Buffer.alloc(8);
  bytes.writeDoubleLE(value);
  return bytes;
}

test("reports are read as text, as JSON and as a message", () => {
  const named = Buffer.concat([Buffer.from([0x0a, 3]), Buffer.from("rif"), Buffer.from([0x11]), double(4)]);
  const message = Buffer.concat([
    Buffer.from([0x09]),
    double(0.31),
    Buffer.from([0x18, 0x96, 0x01]), // rps, which is deprecated
    Buffer.from([0x31]),
    double(212),
    Buffer.from([0x42, named.length]),
    named,
    Buffer.from([0x49]),
    double(0.7),
  ]).toString("base64");
  const forms: [string, string][] = [
    [
      "endpoint-load-metrics",
      "TEXT cpu_utilization=0.31,rps_fractional=212, named_metrics.rif=4,application_utilization=0.7,other=1",
    ],
    [
      "endpoint-load-metrics",
      'JSON {"cpu_utilization":0.31,"rps_fractional":212,"named_metrics":{"rif":4},"application_utilization":0.7}',
    ],
    ["endpoint-load-metrics", `BIN ${message}`],
    ["endpoint-load-metrics-bin", message],
  ];
  for (const [name, value] of forms) {
    const report = new LoadReport();
    assert.equal(report.read(name, value), true, value);
    assert.deepEqual(
      { ...report },
      { inFlight: 4, latencyMs: -1, qps: 212, eps: -1, cpu: 0.31, memory: -1, eventLoop: -1, application: 0.7 },
      value,
    );
  }
});

test("what is no report is none, and what no number can be is left out", () => {
  const report = new LoadReport();
  for (const value of [
    "",
    "TEXT",
    "TEXT ",
    "JSON {",
    "JSON 7",
    "cpu_utilization=1",
    "BIN ",
    `TEXT ${"x".repeat(5_000)}`,
  ])
    assert.equal(report.read("endpoint-load-metrics", value), false, value);
  report.read("endpoint-load-metrics", "TEXT cpu_utilization=-1,eps=NaN,rps_fractional=1e99,mem_utilization=0.5");
  assert.deepEqual([report.cpu, report.eps, report.qps, report.memory], [-1, -1, -1, 0.5]);
});

test("no bytes that a server sends make it throw", () => {
  const report = new LoadReport();
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 300 }), fc.constantFrom("", "TEXT ", "JSON ", "BIN "), (bytes, prefix) => {
      report.read("endpoint-load-metrics-bin", Buffer.from(bytes).toString("base64"));
      report.read(
        "endpoint-load-metrics",
        prefix + Buffer.from(bytes).toString(prefix === "BIN " ? "base64" : "latin1"),
      );
    }),
  );
});

test("nor does any JSON", () => {
  const report = new LoadReport();
  for (const value of ['{"toString":1,"valueOf":1}', "[{}]", "null", "true", '"x"', "1e999", '{"__proto__":{}}']) {
    for (const name of ["cpu_utilization", "eps", "named_metrics", "utilization"]) {
      assert.equal(report.read("endpoint-load-metrics", `JSON {"${name}":${value}}`), false, `${name} ${value}`);
      report.read("endpoint-load-metrics", `JSON {"named_metrics":{"rif":${value}}}`);
    }
  }
});
