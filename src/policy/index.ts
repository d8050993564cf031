/** What the other folders use of policy. */
export * from "./call.ts";
export { copyDecision } from "./decision/decision.ts";
export { type ExplainOptions, explainDecision } from "./decision/explain.ts";
export type { ObjectiveStatus } from "./objective/objective-state.ts";
export { readResourceDocuments } from "./resource/read-resource-documents.ts";
export { ResourceDocument } from "./resource/resource-document.ts";
export * from "./resource/resources.ts";
export { type KnownNames, type ParsedResources, type Problem, parseResources } from "./resource/validate.ts";
export * from "./runtime.ts";
export { createPolicyRuntime } from "./snapshot/create-runtime.ts";
