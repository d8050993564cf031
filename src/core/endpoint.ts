/** One address at which a service can be called. Immutable; a change is a new object with the same `id`. */
export interface Endpoint {
  /** Unique within the system and stable while the instance lives: "products-2" or "10.0.0.6:9001". */
  readonly id: string;
  readonly service: string;
  /** IP address or host name, no brackets. */
  readonly host: string;
  readonly port: number;
  /** "v1"; "" when the service has no versions. */
  readonly version: string;
  readonly zone: string;
  /** Relative share of the calls, above 0; 1 is normal. */
  readonly weight: number;
  /** What it speaks: "h2c" (gRPC and REST over HTTP/2 in the clear), "h2" (over TLS), "http1"; "tcp" and "udp" take sessions alone, whatever their bytes mean. */
  readonly protocol: Protocol;
  /** Out of rotation when not "healthy". "draining" gets no new calls and keeps what it has. */
  readonly health: Health;
  readonly metadata: Readonly<Record<string, string>>;
  /** The SPIFFE id that whoever answers there proves by mutual TLS. Absent: it has none, and is called as `protocol` says. */
  readonly identity?: string;
}

export type Protocol = "h2c" | "h2" | "http1" | "tcp" | "udp";
export type Health = "healthy" | "unhealthy" | "draining";
