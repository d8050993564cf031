import { printable } from "../../core/printable.ts";

/**
 * A data plane's reason as it is kept and shown: bounded, without what a secret holds. Envoy puts the whole resource before its reason, so of a long text the end
 * says more than the middle.
 */
export function refusalText(reason: string): string {
  const shown = reason
    .slice(0, MAX_READ)
    .replace(/(inline_(?:string|bytes):\s*)"(?:[^"\\]|\\.)*(?:"|$)/g, '$1"..."')
    .replace(/-----BEGIN [\s\S]*?(?:-----END [A-Z ]*-----|$)/g, "(PEM)")
    .replace(/\s+/g, " ")
    .trim();
  const redacted = printable(shown, MAX_READ);
  if (redacted.length <= HEAD + TAIL) return redacted;
  return `${redacted.slice(0, HEAD)} ... ${redacted.slice(-TAIL)}`;
}

/** Longer than any resource that is sent in a piece. */
const MAX_READ = 4 * 1024 * 1024;
const HEAD = 200;
const TAIL = 1_000;
