import type { DataPlane } from "../policy/check/enforcement.ts";
import type { Hub } from "./hub.ts";

/** Where policy is enforced in a system, as far as its processes are attached; all of weft's own places while none is. */
export function presentPlanes(sessions: Hub["sessions"]): readonly DataPlane[] {
  const names = Array.from(sessions, ({ hello }) => hello?.process?.split("/", 1)[0] ?? "").filter(
    (name) => !TOOLS.has(name),
  );
  const planes: DataPlane[] = names.includes("gateway") ? ["gateway"] : [];
  if (names.some((name) => name !== "gateway")) planes.push("client", "server");
  return planes.length === 0 ? ["gateway", "client", "server"] : planes;
}

/** They look, and carry nothing. */
const TOOLS: ReadonlySet<string> = new Set(["", "host", "dns", "weft-call", "weft-explain"]);
