/**
 * The head of an HTTP message of any version: a request's, a response's, or trailers.
 *
 * Immutable and interned: a connection that reads the same header bytes again hands out the same object, so that whatever an
 * upper layer derives from a head (its route, its method's descriptor, its re-encoded bytes) is found in `memo`, not computed again.
 */
export class Head {
  /** Requests: "GET"; "" on responses and trailers. */
  readonly method: string;
  /** Requests: "http" or "https". */
  readonly scheme: string;
  /** Requests: `:authority`, or the Host field of HTTP/1.1 (then not repeated in `fields`). */
  readonly authority: string;
  /** Requests: path with query, as it came: "/v1/products?page=2". "*" for OPTIONS *; "" for CONNECT without a path. */
  readonly path: string;
  /** "websocket" on an HTTP/1.1 upgrade request and on an RFC 8441 extended CONNECT; otherwise "". */
  readonly protocol: string;
  /** Responses: 100 to 599; 0 on requests and trailers. */
  readonly status: number;
  /** The other fields, flat: [name, value, name, value, ...]; names lower-case, values without outer white space. Connection-level
   * fields (connection, keep-alive, transfer-encoding, upgrade, te other than trailers) never get here. Order is kept. */
  readonly fields: readonly string[];
  /** Free for the layer that the connection hands its heads to. Whoever writes it must recognise its own value. */
  memo: unknown = null;
  /** call/'s own: what it derived from a request's head (the head sent upstream). */
  derived: unknown = null;
  /** Encoded forms, cached by the wire machines: HPACK (no dynamic-table reference), and wire/http1's own (an Http1Form). */
  h2Bytes: Uint8Array | null = null;
  h1: unknown = null;

  constructor(
    method: string,
    scheme: string,
    authority: string,
    path: string,
    protocol: string,
    status: number,
    fields: readonly string[],
  ) {
    this.method = method;
    this.scheme = scheme;
    this.authority = authority;
    this.path = path;
    this.protocol = protocol;
    this.status = status;
    this.fields = fields;
  }
}

export function requestHead(
  method: string,
  scheme: string,
  authority: string,
  path: string,
  fields: readonly string[] = [],
  protocol = "",
): Head {
  return new Head(method, scheme, authority, path, protocol, 0, fields);
}

export function responseHead(status: number, fields: readonly string[] = []): Head {
  return new Head("", "", "", "", "", status, fields);
}

export function trailersHead(fields: readonly string[]): Head {
  return new Head("", "", "", "", "", 0, fields);
}
