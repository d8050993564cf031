import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { a, answerTo, cname, soa, srv } from "./answer.case.ts";
import { parseAnswer } from "./answer.ts";
import { TYPE } from "./constants.ts";
import { ask, readMessage } from "./message.case.ts";
import { encodeQuery } from "./query-writer.ts";

const query = encodeQuery({ id: 7, name: "Web.Test.", type: TYPE.SRV, edns: true }) as Uint8Array;

test("a query is what other clients send", () => {
  const plain = encodeQuery({ id: 7, name: "web.test.", type: TYPE.A, edns: false });
  assert.deepEqual(plain, ask("web.test."));
  assert.equal(readMessage(query).edns, 1_232);
  assert.equal(encodeQuery({ id: 7, name: "web..test.", type: 1, edns: true }), null);
});

test("records of every kind are read, names in lower case", () => {
  const ipv6 = Uint8Array.from([0xfd, 0, ...Array(13).fill(0), 7]);
  const answer = parseAnswer(
    answerTo(query, {
      rcode: 3,
      answers: [
        srv("WEB.test.", 1, 2, 8080, "One.Test."),
        cname("x.test.", "Y.test."),
        ["z.test.", 16, 5, Uint8Array.of(1, 65)],
      ],
      authorities: [soa("test.", 30)],
      additionals: [a("one.test.", "10.0.0.7", 0x8000_0001), ["one.test.", TYPE.AAAA, 9, ipv6]],
    }),
  );
  assert.deepEqual(answer, {
    id: 7,
    rcode: 3,
    truncated: false,
    question: { name: "Web.Test.", type: 33, class: 1 },
    answers: [
      {
        name: "web.test.",
        type: 33,
        ttl: 60,
        data: { kind: "srv", priority: 1, weight: 2, port: 8080, target: "one.test." },
      },
      { name: "x.test.", type: 5, ttl: 60, data: { kind: "name", target: "y.test." } },
      { name: "z.test.", type: 16, ttl: 5, data: null },
    ],
    authorities: [{ name: "test.", type: 6, ttl: 3_600, data: { kind: "soa", minimum: 30 } }],
    additionals: [
      { name: "one.test.", type: 1, ttl: 0, data: { kind: "address", address: "10.0.0.7" } },
      { name: "one.test.", type: 28, ttl: 9, data: { kind: "address", address: "fd00::7" } },
    ],
  });
});

test("what is no answer, or is broken, is null; cut answers say that they are", () => {
  const whole = answerTo(query, { answers: [a("web.test.", "10.0.0.7")] });
  assert.equal(parseAnswer(query), null, "a query");
  for (let length = 0; length < whole.length; length++)
    assert.equal(parseAnswer(whole.subarray(0, length)), null, `${length}`);
  assert.equal(parseAnswer(Uint8Array.from([...whole, 0])), null, "something behind");
  const short = answerTo(query, { answers: [["web.test.", TYPE.SRV, 60, Uint8Array.of(0, 1, 0, 1, 0)]] });
  assert.equal(parseAnswer(short), null, "data shorter than what they hold");
  const cut = answerTo(query, { truncated: true, answers: [a("web.test.", "10.0.0.7")] });
  assert.equal(parseAnswer(cut.subarray(0, cut.length - 3))?.truncated, true);
});

test("nothing is thrown, whatever the bytes", () => {
  const whole = answerTo(query, {
    answers: [srv("web.test.", 1, 2, 3, "a.test."), cname("a.test.", "b.test.")],
    authorities: [soa("test.", 3)],
  });
  fc.assert(fc.property(fc.uint8Array({ maxLength: 200 }), (bytes) => void parseAnswer(bytes)));
  fc.assert(
    fc.property(fc.array(fc.tuple(fc.nat(whole.length - 1), fc.nat(255)), { maxLength: 6 }), (changes) => {
      const bytes = whole.slice();
      for (const [at, value] of changes) bytes[at] = value;
      parseAnswer(bytes);
    }),
  );
});
