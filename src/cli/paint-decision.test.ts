import assert from "node:assert/strict";
import { test } from "node:test";
import { paintDecision } from "./paint-decision.ts";
import { PLAIN, type Style } from "./terminal.ts";

const named = (name: string) => (text: string) => `<${name}>${text}</${name}>`;
const style: Style = {
  ...{ bold: named("b"), dim: named("dim"), red: named("red"), green: named("green"), yellow: named("yellow") },
  nth: (_index, text) => text,
};
const text = `GET /v1/orders/17  ->  503 BREAKER_OPEN after 812 ms        revision 41, 12:03:07.114, gateway
  limit      orders: over 2/min; next in 30 s  (refused)   left 0
      POST /pay.v1.Payments/Charge  ->  grpc ok after 1.25 s        revision 41, client orders-2
  nearest    would have passed 30 s later`;

test("outcomes, refusals and the nearest change stand out in a terminal", () => {
  assert.equal(
    paintDecision(text, style),
    `<b>GET /v1/orders/17</b>  ->  <red>503 BREAKER_OPEN</red> after 812 ms<dim>        revision 41, 12:03:07.114, gateway</dim>
  limit      orders: over 2/min; next in 30 s  <yellow>(refused)</yellow>   left 0
      <b>POST /pay.v1.Payments/Charge</b>  ->  <green>grpc ok</green> after 1.25 s<dim>        revision 41, client orders-2</dim>
<b>  nearest    would have passed 30 s later</b>`,
  );
});

test("without colours the text is as it was", () => {
  assert.equal(paintDecision(text, PLAIN), text);
});
