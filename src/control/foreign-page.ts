import { isIP } from "node:net";
import { hostname } from "node:os";
import { parseHostPort } from "../core/address.ts";
import { WeftError } from "../core/errors.ts";
import type { ServerInterceptor } from "../service/interceptor.ts";
import { isLoopback } from "./plain-text.ts";

/** What a request in plain text says of where it comes from. */
export interface AskedByPage {
  /** Of the one who connected, with its port. */
  readonly peerAddress: string;
  /** Host, or `:authority`. */
  readonly authority: string;
  /** A field of the request; undefined without it. */
  readonly field: (name: string) => string | undefined;
}

/**
 * Refuses what a web page makes somebody's browser ask: on the machine itself nothing has to be shown, and the browser is on the machine. A page of another origin says so (Origin, Sec-Fetch-Site); one whose name was
 * made to lead here after it was loaded (DNS rebinding) is the same origin to its browser, and is known by that name in Host. What it shows as a token may be made up: nobody is let in by that here. Throws `permission_denied`, reason FOREIGN_PAGE.
 */
export function assertNoForeignPage({ peerAddress, authority, field }: AskedByPage): void {
  const origin = field("origin");
  if (origin !== undefined && !isSameOrigin(origin, authority)) throw refusal("a web page of another origin asks");
  const site = field("sec-fetch-site");
  if (site === "cross-site" || site === "same-site") throw refusal("a web page of another origin asks");
  if (!isLoopback(peerAddress) || isOfThisMachine(authority)) return;
  throw refusal("it is asked for under a name that is not this machine's (ask 127.0.0.1 or localhost),");
}

/** The same around the control plane's calls. gRPC is nothing that a page can speak without being asked first whether it may. */
export function refuseForeignPages(): ServerInterceptor {
  return (next) => (request) => {
    const { peer, requestHeaders, authority } = request.call;
    const isGrpc = requestHeaders.get("content-type")?.startsWith("application/grpc") === true;
    if (!peer.secure && !isGrpc)
      assertNoForeignPage({
        peerAddress: peer.address,
        authority,
        field: (name) => requestHeaders.get(name),
      });
    return next(request);
  };
}

/** "http://127.0.0.1:7070" of "127.0.0.1:7070". "null", which sandboxed pages and files have, is nobody's. */
function isSameOrigin(origin: string, authority: string): boolean {
  return /^https?:\/\//.test(origin) && origin.replace(/^https?:\/\//, "").toLowerCase() === authority.toLowerCase();
}

/** An address, or a name that nobody else can give. */
function isOfThisMachine(authority: string): boolean {
  const host = (parseHostPort(authority)?.host ?? authority)
    .toLowerCase()
    .replace(/^\[|\]$/g, "")
    .replace(/\.$/, "");
  return (
    // Browsers always say whom they ask.
    host === "" ||
    isIP(host) !== 0 ||
    host === "localhost" ||
    host.endsWith(".localhost") ||
    host === hostname().toLowerCase()
  );
}

function refusal(why: string): WeftError {
  return new WeftError("permission_denied", `refused: ${why} and this is answered to programs of this machine alone`, {
    reason: "FOREIGN_PAGE",
  });
}
