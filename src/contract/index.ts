/**
 * `weftmesh/contract`: what generated code imports, and weft's contract layer for those who build on it.
 */
export { codecOf, scratch } from "./codec.ts";
export { type ConditionalAnswer, conditionalAnswer, etagMatches, weakEtag } from "./conditional.ts";
export {
  type ContractMethod,
  type ContractSet,
  contractMethods,
  contractSet,
  descriptorSetOf,
  methodPath,
  parseContractSet,
} from "./contract-set.ts";
export * from "./gen/google/api/annotations.ts";
export * from "./gen/google/api/http.ts";
export * from "./gen/google/api/httpbody.ts";
export * from "./gen/google/rpc/error_details.ts";
export * from "./gen/google/rpc/status.ts";
export { formatBinding, type HttpBinding, httpBindings, isHttpBody } from "./http-rule.ts";
export { type PathTemplate, parsePathTemplate, type TemplateSegment, type TemplateVariable } from "./http-template.ts";
export { messageFromJson, messageToJson, parseJson, registryOf } from "./json.ts";
export { decodePercent, encodeGrpcMessage } from "./percent.ts";
export { type ErrorResponse, errorFromProblem, type Problem, problemOf, problemResponse } from "./problem.ts";
export { createRestRouter, type RestMatch, type RestRoute, type RestRouter } from "./rest-router.ts";
export * from "./runtime.ts";
export { codeOfHttpStatus, codeOfRestStatus, errorFromTrailers, httpStatusOf, trailersOfError } from "./status.ts";
export { type HttpContent, messageToResponse, requestToMessage, splitPath } from "./transcode.ts";
export { type StreamEncoder, streamEncoder } from "./transcode-stream.ts";
export type { Codec } from "./types.ts";
