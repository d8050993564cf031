import { WeftError } from "../core/errors.ts";
import { readJoinToken } from "../core/join-token.ts";
import type { IdentityLine } from "../link/identity-line.ts";

/**
 * The identity of a process of ours, by WEFT_JOIN_TOKEN; null without one. What starts it never puts a token where `ps` shows it.
 * Throws WRONG_TOKEN when that is a token of another service. Loaded when it is used.
 */
export async function joinMesh(
  control: string,
  service: string,
  onProblem: (error: Error) => void,
): Promise<IdentityLine | null> {
  const token = process.env.WEFT_JOIN_TOKEN ?? "";
  if (token === "") return null;
  // Nothing that this process starts joins as it.
  delete process.env.WEFT_JOIN_TOKEN;
  // Another service's is not shown: that would use it up.
  assertOwn(readJoinToken(token)?.service ?? service, service);
  const { openIdentity } = await import("../link/identity-line.ts");
  const identity = await openIdentity({
    address: control,
    token,
    onProblem: (message) => onProblem(new Error(message)),
  });
  if (identity.service !== service) await identity.close();
  assertOwn(identity.service, service);
  return identity;
}

function assertOwn(named: string, service: string): void {
  if (named === service) return;
  throw new WeftError(
    "failed_precondition",
    `WEFT_JOIN_TOKEN is one for ${named}, and this is ${service}: make one by \`weft token create ${service}\``,
    { reason: "WRONG_TOKEN" },
  );
}
