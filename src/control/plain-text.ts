import { isIPv4 } from "node:net";
import { WeftError } from "../core/errors.ts";
import type { ServerInterceptor } from "../service/interceptor.ts";
import type { ServerCall } from "../service/server-call.ts";

/**
 * Refuses calls in plain text from other machines: all of them, or with `allowed` (`weft control --plain`, in a network that others protect) those that make or carry secrets. On
 * the machine itself nobody listens in who could not read the processes anyway. `onRefused` is told who, once for each address and service.
 */
export function refusePlainText(allowed: boolean, onRefused: (line: string) => void): ServerInterceptor {
  const told = new Set<string>();
  return (next) => (request) => {
    const { call, method } = request;
    const { peer } = call;
    if (peer.secure) return next(request);
    const service = method.parent.typeName;
    const secret = SECRET_FIELDS.some((name) => call.requestHeaders.get(name) !== undefined);
    const refusal = plainRefusal({ service, peer, secret }, allowed);
    if (refusal === null) return next(request);
    const host = peer.address.slice(0, peer.address.lastIndexOf(":"));
    if (!told.has(`${host} ${service}`)) {
      if (told.size >= MAX_TOLD) told.clear();
      told.add(`${host} ${service}`);
      onRefused(`${service} for ${peer.address} ${refusal.message}`);
    }
    throw refusal;
  };
}

/** The same for a request of Consul's API: throws `failed_precondition` for one in plain text from another machine, with `allowed` for one that shows a token. */
export function assertPlainConsul(peerAddress: string, secret: boolean, allowed: boolean): void {
  if (isLoopback(peerAddress) || (allowed && !secret)) return;
  const message = allowed
    ? "refused: a token is not for plain text from another machine; register from this control plane's own"
    : "refused: plain text from another machine; ask from this control plane's own, or start it with --plain in a network that is protected otherwise";
  throw new WeftError("failed_precondition", message, { reason: "PLAIN_TEXT_REFUSED" });
}

/** What a call says of itself before it is answered. */
interface AskedInPlain {
  /** "weft.control.v1.Identity" */
  readonly service: string;
  readonly peer: Pick<ServerCall["peer"], "address" | "secure">;
  /** Whether it carries a secret: a join token, or the operator's. */
  readonly secret: boolean;
}

/** Null for a call that may be answered. */
function plainRefusal({ service, peer, secret }: AskedInPlain, allowed: boolean): WeftError | null {
  if (peer.secure || isLoopback(peer.address)) return null;
  const what = SECRET.has(service) ? service : secret ? "a token" : "";
  if (allowed && what === "") return null;
  const why = allowed ? `${what} is not for plain text from another machine` : "plain text from another machine";
  return new WeftError(
    "failed_precondition",
    `refused: ${why}; this control plane is spoken with over TLS there: start processes with a join token of \`weft token create\`, and tools with WEFT_CONTROL_PIN as \`weft ca status\` prints it`,
    { reason: "PLAIN_TEXT_REFUSED" },
  );
}

/** "127.0.0.1:80", "[::1]:80" */
export function isLoopback(address: string): boolean {
  const host = address.slice(0, address.lastIndexOf(":"));
  return host === "[::1]" || host === "::1" || (isIPv4(host) && host.startsWith("127."));
}

/** What they answer with, or are asked with, is nobody else's. */
const SECRET: ReadonlySet<string> = new Set([
  "weft.control.v1.Identity",
  "envoy.service.secret.v3.SecretDiscoveryService",
]);
const SECRET_FIELDS = ["authorization", "x-weft-join-token"] as const;
const MAX_TOLD = 1_000;
