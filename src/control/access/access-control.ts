import { WeftError } from "../../core/errors.ts";
import { spiffeId } from "../../core/identity.ts";
import type { ServerInterceptor } from "../../service/interceptor.ts";
import type { ServerCall } from "../../service/server-call.ts";
import type { Publishers } from "../hub.ts";
import { isPeer } from "../peers/peers.ts";
import { isLoopback } from "../plain-text.ts";
import type { AdminTokens } from "./admin-tokens.ts";
import type { AuditLog } from "./audit-log.ts";
import { aboutOf, isChange, isTrial, revisionOf } from "./audited.ts";
import { type AccessRole, isAccessRole, type MethodRole, mayDo, roleOfMethod } from "./method-roles.ts";

export interface AccessControlOptions {
  readonly system: string;
  /** What nobody has to be shown on the machine itself: "anyone": reading and publishing; "operator": reading alone. */
  readonly publishers: Publishers;
  readonly tokens: AdminTokens;
  readonly isOperator: (token: string) => boolean;
  readonly audit: AuditLog;
}

/** Who asks, as far as that is proved, and what that one may; null: nothing that needs a role. */
interface Caller {
  readonly who: string;
  readonly role: AccessRole | null;
}

/**
 * Answers each method to those alone who may ask it (method-roles.ts), and writes down every change that is made or refused. Somebody is known by `authorization: Bearer TOKEN` (the
 * operator's, or one of `weft token admin`), or else by the certificate that the connection shows.
 */
export function accessControl(options: AccessControlOptions): ServerInterceptor {
  const { system, audit } = options;
  return (next) => async (request) => {
    const { method, call, message } = request;
    const ofMethod = roleOfMethod(method);
    // Who only asks what would be wrong changes nothing. Of settings it may tell whether a sealed value fits a schema that one has made up.
    const tells = method.name === "PublishSettings";
    const needed = ofMethod === "publisher" && isTrial(message) && !tells ? "reader" : ofMethod;
    if (needed === "anyone" || needed === "process") return next(request);
    if (!isAccessRole(needed)) {
      if (needed === "peer" && isPeer(call, system)) return next(request);
      throw refusal(needed, { who: "anyone", role: null });
    }
    // Another control plane asks for somebody who might ask it.
    if (needed === "reader" && isPeer(call, system)) return next(request);
    const change = isChange(method) && !isTrial(message);
    const entry = {
      address: call.peer.address,
      action: `${method.parent.name}/${method.name}`,
      about: aboutOf(message),
    };
    let caller: Caller = { who: "anyone", role: null };
    try {
      caller = await callerOf(call, options);
      if (!mayDo(caller.role, needed) && !isFree(call, needed, options)) throw refusal(needed, caller);
    } catch (thrown) {
      if (change) audit.refused({ ...entry, who: caller.who, revision: 0 }, thrown);
      throw thrown;
    }
    if (!change) return next(request);
    const audited = { ...entry, who: caller.who, revision: 0 };
    return audit.change(
      audited,
      async () => await next(request),
      (response) => revisionOf(response.message),
    );
  };
}

async function callerOf(call: ServerCall, { system, tokens, isOperator }: AccessControlOptions): Promise<Caller> {
  const shown = call.requestHeaders.get("authorization");
  if (shown !== undefined) {
    const text = shown.startsWith("Bearer ") && shown.length <= MAX_SHOWN ? shown.slice(7) : "";
    if (text !== "" && isOperator(text)) return { who: "operator", role: "operator" };
    const token = await tokens.find(text);
    if (token !== null) return { who: `token ${token.name} (${token.id})`, role: token.role };
    return { who: "anyone", role: null };
  }
  const { identity } = call.peer;
  const prefix = spiffeId(system, "");
  const service = identity.startsWith(prefix) ? identity.slice(prefix.length) : "";
  if (!SERVICE.test(service)) return { who: "anyone", role: null };
  return { who: identity, role: await tokens.granted(service) };
}

/** On the machine itself nothing needs to be shown for reading, nor for publishing where nobody was given a token. */
function isFree({ peer }: ServerCall, needed: AccessRole, { publishers }: AccessControlOptions): boolean {
  if (!isLoopback(peer.address)) return false;
  return needed === "reader" || (needed === "publisher" && publishers === "anyone");
}

function refusal(needed: MethodRole | null, { who, role }: Caller): WeftError {
  if (!isAccessRole(needed))
    return new WeftError("permission_denied", "this is answered to the control planes of the system alone", {
      reason: "NOT_PERMITTED",
    });
  if (role !== null)
    return new WeftError("permission_denied", `the role "${needed}" is needed, and ${who} has "${role}"`, {
      reason: "NOT_PERMITTED",
    });
  const shown =
    who === "anyone"
      ? "no token was shown that holds"
      : `${who} was granted nothing (\`weft token grant\`), and no token was shown`;
  const which =
    needed === "operator"
      ? "the operator's: the file operator-token in the control plane's data folder holds it (--data, or WEFT_OPERATOR_TOKEN)"
      : `one of \`weft token admin --role ${needed}\` (WEFT_ADMIN_TOKEN), or the operator's (--data, or WEFT_OPERATOR_TOKEN)`;
  const reason = needed === "reader" ? "NO_ACCESS" : "NOT_OPERATOR";
  return new WeftError("unauthenticated", `${shown}; needed is ${which}`, { reason });
}

const SERVICE = /^[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?$/;
const MAX_SHOWN = 512;
