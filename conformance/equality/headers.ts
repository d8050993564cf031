/**
 * Header fields that are compared, requests' at backends and answers' at callers: those that generated policies touch, that generated backends send, and in
 * which places answer of their own accord what policy says. Of what is not compared, and why:
 *
 *     date server via age connection keep-alive transfer-encoding   each hop's own, and HTTP/1.1's against HTTP/2's
 *     content-length content-type                                   of answers of a place's own: another text, by design (the status and the reason are compared)
 *     x-request-id traceparent x-forwarded-* x-envoy-* x-weft-*     how hops speak to each other; believed of peers alone
 *     grpc-timeout te user-agent accept-encoding                    made by each client library, shrunk by each hop
 */
export const COMPARED = [
  "x-set",
  "x-add",
  "x-drop",
  "x-user",
  "x-lane",
  "x-origin",
  "location",
  "retry-after",
  "access-control-allow-origin",
  "access-control-allow-credentials",
  "access-control-allow-methods",
  "access-control-allow-headers",
  "access-control-expose-headers",
  "access-control-max-age",
  "vary",
  "x-session",
];

/** Values of one name as one list, however many lines they came in (RFC 9110 section 5.3). */
export function comparedHeaders(headers: Readonly<Record<string, unknown>>): Record<string, readonly string[]> {
  const kept: Record<string, readonly string[]> = {};
  for (const name of COMPARED) {
    const value = headers[name];
    if (value === undefined) continue;
    kept[name] = (Array.isArray(value) ? value : [value]).flatMap((one) => String(one).split(/,\s*/));
  }
  return kept;
}

export function headersText(headers: Readonly<Record<string, readonly string[]>>): string {
  return Object.keys(headers)
    .sort()
    .map((name) => `${name}: ${headers[name].join(", ")}`)
    .join("; ");
}
