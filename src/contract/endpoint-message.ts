import type { Health as CoreHealth, Protocol as CoreProtocol, Endpoint } from "../core/endpoint.ts";
import { type EndpointSchema, Health, type Endpoint as Message, Protocol } from "./gen/weft/control/v1/control.ts";
import type { MessageInitShape } from "./runtime.ts";

/** An endpoint as it travels between a process and the control plane. */
export function endpointToMessage(endpoint: Endpoint): MessageInitShape<typeof EndpointSchema> {
  return {
    id: endpoint.id,
    service: endpoint.service,
    host: endpoint.host,
    port: endpoint.port,
    version: endpoint.version,
    zone: endpoint.zone,
    weight: endpoint.weight,
    protocol: PROTOCOL_NUMBERS[endpoint.protocol],
    health: HEALTH_NUMBERS[endpoint.health],
    metadata: { ...endpoint.metadata },
    identity: endpoint.identity,
  };
}

/** The endpoint of a message: what is unset or unknown takes its default (weight 1, h2c, healthy). Its values have still to be validated. */
export function endpointOfMessage(message: Message): Endpoint {
  return {
    id: message.id,
    service: message.service,
    host: message.host,
    port: message.port,
    version: message.version,
    zone: message.zone,
    weight: message.weight === 0 ? 1 : message.weight,
    protocol: PROTOCOLS[message.protocol] ?? "h2c",
    health: healthOfMessage(message.health),
    metadata: { ...message.metadata },
    ...(message.identity !== "" && { identity: message.identity }),
  };
}

export function healthToMessage(health: CoreHealth): Health {
  return HEALTH_NUMBERS[health];
}

/** Unset is healthy; a number that this version does not know is unhealthy. */
export function healthOfMessage(health: Health): CoreHealth {
  return HEALTHS[health] ?? "unhealthy";
}

const PROTOCOL_NUMBERS: Record<CoreProtocol, Protocol> = {
  h2c: Protocol.H2C,
  h2: Protocol.H2,
  http1: Protocol.HTTP1,
  tcp: Protocol.TCP,
  udp: Protocol.UDP,
};
const PROTOCOLS: (CoreProtocol | undefined)[] = [undefined, "h2c", "h2", "http1", "tcp", "udp"];
const HEALTH_NUMBERS: Record<CoreHealth, Health> = {
  healthy: Health.HEALTHY,
  unhealthy: Health.UNHEALTHY,
  draining: Health.DRAINING,
};
const HEALTHS: (CoreHealth | undefined)[] = ["healthy", "healthy", "unhealthy", "draining"];
