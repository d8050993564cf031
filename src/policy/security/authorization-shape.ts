import { parseNetwork } from "../../core/network.ts";
import { FIELD_NAME, POSITIVE } from "../resource/common-shapes.ts";
import { bool, type Check, described, list, object, oneOf, shown, text } from "../resource/shape.ts";
import { celProblem, MAX_CEL } from "./cel-condition.ts";
import {
  claimMatch,
  enforcedAt,
  exactlyOne,
  headerMatch,
  httpUrl,
  securityTargets,
  someText,
} from "./security-shapes.ts";

const some = list(someText, 1, 1_000);

const network = described(
  (value, path, report) => {
    if (typeof value !== "string" || parseNetwork(value) === undefined) {
      report(path, `must be a network such as "10.0.0.0/8" or "fd00::/8", is ${shown(value)}`);
    }
  },
  () => ({ type: "string", description: "10.0.0.0/8, fd00::/8, 192.0.2.7" }),
);

const method = text(
  'an HTTP method such as "GET", or a gRPC method such as "shop.v1.Orders/Place" or "shop.v1.Orders/*"',
  /^([A-Z]{3,16}|\/?[\w.*]+\/[\w*]+)$/,
  512,
);

const host = text(
  'a host such as "shop.example" or "*.shop.example"',
  /^(\*|(\*\.)?[A-Za-z0-9-]+(\.[A-Za-z0-9-]+)*)$/,
  253,
);

const path: Check = text('a path such as "/v1/orders", "/v1/*" or "*.json"', /^[/*][^?#\s]*$/, 1_024);

const when = described(
  (value, at, report) => {
    if (typeof value !== "string" || value.trim() === "") return report(at, "must be a CEL expression");
    if (value.length > MAX_CEL) return report(at, `is longer than ${MAX_CEL} characters`);
    const problem = celProblem(value);
    if (problem !== "") report(at, problem);
  },
  () => ({
    type: "string",
    maxLength: MAX_CEL,
    description: "a condition in CEL over request, peer, principal and now",
  }),
);

const external = object(
  {
    http: object({ url: httpUrl }, ["url"]),
    grpc: object(
      {
        address: text('an address such as "authz:9001"', /^(\[[0-9a-fA-F:.]+\]|[^:[\]/\s]+):\d{1,5}$/, 300),
        tls: bool,
      },
      ["address"],
    ),
    timeout: POSITIVE,
    fail: oneOf(["closed", "open"]),
    cacheFor: POSITIVE,
    sendHeaders: list(FIELD_NAME, 0, 64),
    upstreamHeaders: list(FIELD_NAME, 0, 64),
    downstreamHeaders: list(FIELD_NAME, 0, 64),
  },
  [],
  exactlyOne(["http", "grpc"]),
);

const rule = object(
  {
    name: text("a name", /^[\w .-]+$/, 128),
    action: oneOf(["allow", "deny", "audit", "external"]),
    peers: some,
    authenticatedBy: list(
      text('a provider as "jwt:shop", or "*"', /^(\*|(jwt|api-key|hmac|basic|mtls|oidc):[a-z0-9.-]+)$/, 300),
      1,
      64,
    ),
    subjects: some,
    issuers: some,
    claims: list(claimMatch, 1, 32),
    services: some,
    methods: list(method, 1, 1_000),
    paths: list(path, 1, 1_000),
    hosts: list(host, 1, 1_000),
    networks: list(network, 1, 1_000),
    headers: list(headerMatch, 1, 32),
    when,
    external,
  },
  ["action"],
  (value, at, report) => {
    const { action, external: asks } = value as { action: string; external?: unknown };
    if (action === "external" && asks === undefined) report(at, '"external" is missing: whom to ask?');
    if (action !== "external" && asks !== undefined) report([...at, "external"], "is for action external only");
  },
);

/** Authorization.spec */
export const authorizationSpec = object(
  { targetRefs: securityTargets, default: oneOf(["deny"]), rules: list(rule, 0, 4_096), at: enforcedAt },
  [],
  (value, at, report) => {
    const { default: other, rules = [] } = value as { default?: string; rules?: unknown[] };
    if (other === undefined && rules.length === 0) report(at, "says nothing: it needs rules, or default: deny");
  },
);
