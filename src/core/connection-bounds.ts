/** How much one endpoint's connections may take of this process, as policy says (limits) and pools enforce. Infinity: the pool's own limits alone. */
export interface ConnectionBounds {
  /** Open or being dialled. */
  readonly maxConnections: number;
  /** Attempts that wait for a connection. */
  readonly maxPending: number;
  /** Requests under way on one connection. */
  readonly maxStreams: number;
}
