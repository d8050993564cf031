import { reasonPhrase } from "../../core/reason-phrase.ts";

/** A complete response that refuses a request and ends the connection, with an RFC 9457 problem document. */
export function problemResponse(status: number, detail: string, dateLine: Uint8Array): Uint8Array {
  const body = Buffer.from(
    JSON.stringify({ type: "about:blank", title: reasonPhrase(status), status, detail }),
    "utf8",
  );
  const head =
    `HTTP/1.1 ${status} ${reasonPhrase(status)}\r\n` +
    "content-type: application/problem+json\r\n" +
    `content-length: ${body.length}\r\n` +
    "connection: close\r\n";
  return Buffer.concat([Buffer.from(head, "latin1"), dateLine, Buffer.from("\r\n", "latin1"), body]);
}
