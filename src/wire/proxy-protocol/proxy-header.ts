/** What a proxy says of the connection that it passes on (PROXY protocol, versions 1 and 2). */
export interface ProxyHeader {
  /** "local": the proxy speaks for itself (health checks); addresses are those of the connection itself. */
  readonly command: "proxy" | "local";
  /** "192.0.2.7:4711", "[2001:db8::7]:4711"; "" when it does not say: LOCAL, UNKNOWN, UNIX sockets, families that are not specified. */
  readonly source: string;
  readonly destination: string;
}

/** Version 2 begins with it: no protocol in use does. */
export const SIGNATURE: Uint8Array = Uint8Array.of(
  0x0d,
  0x0a,
  0x0d,
  0x0a,
  0x00,
  0x0d,
  0x0a,
  0x51,
  0x55,
  0x49,
  0x54,
  0x0a,
);

/** Bytes of the addresses by family: none, IPv4, IPv6, UNIX. */
export const ADDRESS_BYTES: readonly number[] = [0, 12, 36, 216];
