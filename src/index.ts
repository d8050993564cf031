/**
 * `weftmesh`: what people need who write services and call them.
 */

export type { ClientFallbacks, FallbackFunction, FallbackOf } from "./call/client-fallback.ts";
export type {
  CallOptions,
  Client,
  ClientHandler,
  ClientInterceptor,
  ClientRequest,
  ClientResponse,
  Messages,
} from "./call/client-types.ts";
export { Metadata, type MetadataInit } from "./call/metadata.ts";
export { type Clock, systemClock, VirtualClock } from "./core/clock.ts";
export { type Code, codeOf, type ErrorDetail, WeftError, type WeftErrorOptions } from "./core/errors.ts";
export type { Principal } from "./policy/machine/principal.ts";
export {
  type AnyServiceDefinition,
  type ServiceDefinition,
  type ServiceOptions,
  service,
} from "./service/definition.ts";
export type { ProcessSettings } from "./service/environment-variables.ts";
export type {
  BidiStreamingHandler,
  ClientStreamingHandler,
  HandlerOf,
  Implementation,
  ServerStreamingHandler,
  UnaryHandler,
} from "./service/implementation.ts";
export type { ServerHandler, ServerInterceptor, ServerRequest, ServerResponse } from "./service/interceptor.ts";
export { type ConnectOptions, connect, createRuntime, type Runtime, type RuntimeOptions } from "./service/runtime.ts";
export { type ServeOptions, type Server, serve } from "./service/serve.ts";
export type { ServerCall } from "./service/server-call.ts";
export type { ServerState } from "./service/server-status.ts";
export { onSettingsChange, type SettingsOptions, settings, snapshotOf } from "./service/settings/settings.ts";
export type { StandardSchema } from "./service/settings/standard-schema.ts";
export { createTestClient, type TestClient, type TestClientOptions } from "./service/test-client.ts";
