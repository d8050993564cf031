/** What one attached process may hold. Over a limit: `resource_exhausted`, naming it. Documented in docs/control-plane.md. */
export interface ControlLimits {
  /** Services that a process names; "*" is one. Default 10,000. */
  maxSubscriptions: number;
  /** Leases at once. Default 1,000. */
  maxRegistrations: number;
  /** Attached processes. Default 20,000. */
  maxProcesses: number;
  /** gRPC services in one registration. Default 100. */
  maxContracts: number;
  /** Requests not answered yet; more are not read until some are. Default 256. */
  maxPendingRequests: number;
  /** One message up, which may carry descriptors. Default 4 MiB. */
  maxRequestBytes: number;
  /** Open connections of one address. Default 16,000. */
  maxConnectionsPerAddress: number;
  /** Requests of Admin, Access and Identity that are answered a second, of one address and by one token; twice as many at once. Default 500. */
  adminRequestsPerSecond: number;
  /** Processes of one address that attach a second; twice as many at once. Default 2,000. */
  attachesPerSecond: number;
  /** Time for a new stream's hello, ms. Default 10,000. */
  helloTimeoutMs: number;
  /** How long a process with streams open may give no sign of life, ms; halfway it is asked for one (PING of HTTP/2). Default 15,000. */
  silenceTimeoutMs: number;
}

export const defaultControlLimits: Readonly<ControlLimits> = Object.freeze({
  maxSubscriptions: 10_000,
  maxRegistrations: 1_000,
  maxProcesses: 20_000,
  maxContracts: 100,
  maxPendingRequests: 256,
  maxRequestBytes: 4 * 1024 * 1024,
  maxConnectionsPerAddress: 16_000,
  adminRequestsPerSecond: 500,
  attachesPerSecond: 2_000,
  helloTimeoutMs: 10_000,
  silenceTimeoutMs: 15_000,
});
