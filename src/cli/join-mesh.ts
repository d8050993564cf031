import type { IdentityLine } from "../link/identity-line.ts";

/** The identity of a process of ours, by WEFT_JOIN_TOKEN; null without one. What starts it never puts a token where `ps` shows it. */
export async function joinMesh(control: string, onProblem: (message: string) => void): Promise<IdentityLine | null> {
  const token = process.env.WEFT_JOIN_TOKEN ?? "";
  if (token === "") return null;
  // Nothing that this process starts joins as it.
  delete process.env.WEFT_JOIN_TOKEN;
  const { openIdentity } = await import("../link/identity-line.ts");
  return openIdentity({ address: control, token, onProblem });
}
