/**
 * Percent-encoding, as grpc-message, paths and queries use it.
 */

/** grpc-message: UTF-8, everything outside printable ASCII and `%` itself encoded. */
export function encodeGrpcMessage(text: string): string {
  if (!/[^\x20-\x24\x26-\x7e]/.test(text)) return text;
  let out = "";
  for (const byte of Buffer.from(text, "utf8")) {
    out +=
      byte >= 0x20 && byte <= 0x7e && byte !== 0x25
        ? String.fromCharCode(byte)
        : `%${byte < 16 ? "0" : ""}${byte.toString(16).toUpperCase()}`;
  }
  return out;
}

/** Decodes what is validly encoded and keeps the rest as it came, for text that is shown to people. */
export function decodePercent(text: string): string {
  if (!text.includes("%")) return text;
  return text.replace(/(?:%[0-9a-fA-F]{2})+/g, (run) => Buffer.from(run.replaceAll("%", ""), "hex").toString("utf8"));
}

/** Decodes a part of a URL strictly; undefined when it is malformed or not UTF-8. `keepSlash` leaves %2F as it is. */
export function decodeUrlPart(text: string, keepSlash = false): string | undefined {
  if (!text.includes("%")) return text;
  try {
    return decodeURIComponent(keepSlash ? text.replace(/%2f/gi, (slash) => `%25${slash.slice(1)}`) : text);
  } catch {
    return undefined;
  }
}
