/** What the other folders use of policy. */
export * from "./call.ts";
export { createPolicyRuntime } from "./create-runtime.ts";
export { copyDecision } from "./decision.ts";
export { type ExplainOptions, explainDecision } from "./explain.ts";
export { readResourceDocuments } from "./read-resource-documents.ts";
export { ResourceDocument } from "./resource-document.ts";
export * from "./resources.ts";
export * from "./runtime.ts";
export { type KnownNames, type ParsedResources, type Problem, parseResources } from "./validate.ts";
