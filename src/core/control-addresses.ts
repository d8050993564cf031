import { parseHostPort } from "./address.ts";

/**
 * Where the control planes of a system are, as WEFT_CONTROL and --control say it: "10.0.0.5:7070", or several separated by commas ("h1:7070,h2:7070,[fd00::7]:7070"), each at most once; "http://"
 * before and "/" behind each is left out. Null for anything else.
 */
export function parseControlAddresses(text: string): readonly string[] | null {
  const addresses = text.split(",").map(bare);
  const right = (address: string): boolean => (parseHostPort(address)?.port ?? 0) > 0;
  if (addresses.length > MAX_CONTROL_ADDRESSES || !addresses.every(right)) return null;
  return new Set(addresses).size === addresses.length ? addresses : null;
}

const MAX_CONTROL_ADDRESSES = 16;

/** What must be written, for messages. */
export const CONTROL_ADDRESSES_WANTED = `HOST:PORT, or up to ${MAX_CONTROL_ADDRESSES} of them separated by commas, each once`;

function bare(address: string): string {
  return address.replace(/^https?:\/\//, "").replace(/\/$/, "");
}
