import type { SimulatedSystem, SimulateOptions, World } from "./types.ts";
import { SimWorld } from "./world.ts";

/**
 * A whole mesh in virtual time, in this process and without a socket: the system's routes and policies hold, decided by the machine that the
 * gateway and clients use; its services are models of latency and failure, or the user's own handlers.
 *
 *     const world = simulate(system, { seed: 7 });
 *     world.fault("products#2", { stallMs: 2_000 });
 *     const seen = await world.load("GET /v1/products", { perSecond: 200, forMs: 60_000 });
 *
 * Throws `invalid_argument` for a system, model or resource that is wrong.
 */
export function simulate(system: SimulatedSystem, options: SimulateOptions = {}): World {
  return new SimWorld(system, options);
}
