/** What the other folders use of policy. */
export * from "./call.ts";
export { createPolicyRuntime } from "./create-runtime.ts";
export { copyDecision } from "./decision.ts";
export * from "./resources.ts";
export * from "./runtime.ts";
