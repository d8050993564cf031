import assert from "node:assert/strict";
import { test } from "node:test";
import { parseConntrack } from "./original-destination.ts";

const TABLE = `ipv4     2 tcp      6 119 TIME_WAIT src=10.213.9.2 dst=93.184.216.34 sport=55460 dport=81 src=127.0.0.1 dst=10.213.9.2 sport=15001 dport=55460 [ASSURED] mark=0 zone=0 use=2
ipv4     2 tcp      6 431999 ESTABLISHED src=10.0.0.1 dst=10.0.0.2 sport=22 dport=1022 src=10.0.0.2 dst=10.0.0.1 sport=1022 dport=22 [ASSURED] mark=0 zone=0 use=2
ipv4     2 udp      17 29 src=127.0.0.1 dst=127.0.0.53 sport=4000 dport=53 src=127.0.0.1 dst=127.0.0.1 sport=15053 dport=4000 mark=0 zone=0 use=2
ipv6     10 tcp      6 119 ESTABLISHED src=fd00:0000:0000:0000:0000:0000:0000:0002 dst=2001:0db8:0000:0000:0000:0000:0000:0001 sport=4001 dport=443 src=0000:0000:0000:0000:0000:0000:0000:0001 dst=fd00:0000:0000:0000:0000:0000:0000:0002 sport=15001 dport=4001 [ASSURED] use=2
tcp      6 86397 ESTABLISHED src=10.0.0.7 dst=10.0.0.9 sport=5000 dport=5432 src=127.0.0.1 dst=10.0.0.7 sport=15001 dport=5000 [ASSURED] mark=0 use=1
tcp      6 5 SYN_SENT src=1.2.3.4 dst=
`;

test("the table tells where redirected connections were to go, by their client's end", () => {
  assert.deepEqual(Object.fromEntries(parseConntrack(TABLE)), {
    "10.213.9.2:55460": { host: "93.184.216.34", port: 81 },
    "[fd00::2]:4001": { host: "2001:db8::1", port: 443 },
    "10.0.0.7:5000": { host: "10.0.0.9", port: 5432 },
  });
});
