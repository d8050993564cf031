/** Limits on what a peer can make us hold or do; every one has a default (`defaultLimits`) and is documented in docs/limits.md. */
export interface ConnectionLimits {
  /** Bytes of one message's head, names and values with HPACK's 32 a field. Default 65,536. Over it: 431. */
  maxHeadBytes: number;
  /** Fields of one head or of one message's trailers. Default 256. Over it: 431. */
  maxFields: number;
  /** Streams open at once on an HTTP/2 connection. Default 1,024. */
  maxConcurrentStreams: number;
  /** Receive window of a stream: body bytes that a peer may send ahead of credit(). Default 262,144. */
  streamWindowBytes: number;
  /** Largest HTTP/2 frame we accept. Default 16,384 (the RFC's minimum). */
  maxFrameBytes: number;
  /** Body bytes kept for one stream before sendData answers false. Default 262,144. */
  sendHighWaterBytes: number;
  /** Time for a connection's first head, and for each later one once it began, ms. Default 10,000. */
  headTimeoutMs: number;
  /** Idle time before a keep-alive HTTP/1.1 connection closes, or a body that stands still is given up, ms. Default 75,000. */
  idleTimeoutMs: number;
  /** Time without streams before an HTTP/2 connection is drained, ms. Default 300,000. */
  idleTimeoutHttp2Ms: number;
  /** How long an HTTP/2 client with streams open may give no sign of life before a server cuts it, ms; halfway it is asked for one (PING). Default 120,000. */
  silenceTimeoutMs: number;
  /** Resets, empty frames, pings and settings a peer may send beyond what its requests explain, within 30 s (rapid reset, CVE-2023-44487). Default 400. */
  maxAbusePer30s: number;
  /** Open connections of one listener. Default 20,000. Over it: the newest is closed. */
  maxConnections: number;
  /** Of these, of one address (before any proxy). Default: no limit of its own. Over it: the newest is closed. */
  maxConnectionsPerAddress: number;
}

const defaultLimits: Readonly<ConnectionLimits> = Object.freeze({
  maxHeadBytes: 65_536,
  maxFields: 256,
  maxConcurrentStreams: 1_024,
  streamWindowBytes: 262_144,
  maxFrameBytes: 16_384,
  sendHighWaterBytes: 262_144,
  headTimeoutMs: 10_000,
  idleTimeoutMs: 75_000,
  idleTimeoutHttp2Ms: 300_000,
  silenceTimeoutMs: 120_000,
  maxAbusePer30s: 400,
  maxConnections: 20_000,
  maxConnectionsPerAddress: Number.POSITIVE_INFINITY,
});

/** The defaults with `overrides` on top; a total, frozen object that every connection of a listener or pool shares. */
export function resolveLimits(overrides: Partial<ConnectionLimits> | undefined): Readonly<ConnectionLimits> {
  if (overrides === undefined) return defaultLimits;
  const limits: ConnectionLimits = { ...defaultLimits };
  for (const [name, value] of Object.entries(overrides) as [keyof ConnectionLimits, number | undefined][]) {
    if (value === undefined) continue;
    if (!(name in defaultLimits))
      throw new RangeError(`unknown limit "${name}"; known: ${Object.keys(defaultLimits).join(", ")}`);
    if (!(value > 0)) throw new RangeError(`limit ${name} must be above 0, not ${value}`);
    limits[name] = value;
  }
  return Object.freeze(limits);
}
