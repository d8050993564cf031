/** `weftmesh/system`: what a `weft.config.ts` is written with. */

export type * from "./host/system.ts";
export { defineSystem } from "./host/system.ts";
export * from "./policy/builders.ts";
export type * from "./policy/resource/resources.ts";
