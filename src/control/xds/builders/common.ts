import { isIP } from "node:net";
import type { AddressSchema } from "../../../contract/gen/envoy/config/core/v3/address.ts";
import { ApiVersion, type ConfigSourceSchema } from "../../../contract/gen/envoy/config/core/v3/config_source.ts";
import type { Duration, MessageInitShape } from "../../../contract/runtime.ts";
import { parseHostPort } from "../../../core/address.ts";
import { WeftError } from "../../../core/errors.ts";

/** From the same stream as everything else. */
export const ADS: MessageInitShape<typeof ConfigSourceSchema> = {
  resourceApiVersion: ApiVersion.V3,
  configSourceSpecifier: { case: "ads", value: {} },
};

export interface HostPort {
  readonly host: string;
  readonly port: number;
}

/** Throws `invalid_argument` for what is no HOST:PORT; `field` is for the error's place. */
export function hostPortOf(text: string, field: string): HostPort {
  const parsed = parseHostPort(text);
  if (parsed !== null) return parsed;
  throw new WeftError("invalid_argument", `${field}: "${text}" is not HOST:PORT`, {
    reason: "BAD_ADDRESS",
    place: { field },
  });
}

export function socketAddress({ host, port }: HostPort): MessageInitShape<typeof AddressSchema> {
  return {
    address: {
      case: "socketAddress",
      value: { address: host, portSpecifier: { case: "portValue", value: port } },
    },
  };
}

export function isIpAddress(host: string): boolean {
  return isIP(host) !== 0;
}

/** Throws `invalid_argument` for what is no duration. */
export function durationOf(ms: number, field: string): Pick<Duration, "seconds" | "nanos"> {
  if (!Number.isFinite(ms) || ms < 0) {
    throw new WeftError("invalid_argument", `${field}: ${ms} is not a number of milliseconds`, {
      reason: "BAD_DURATION",
      place: { field },
    });
  }
  return { seconds: BigInt(Math.floor(ms / 1_000)), nanos: Math.round((ms % 1_000) * 1e6) };
}

/** Throws `invalid_argument` for a number that is no whole one of at least `least`. */
export function countOf(value: number, least: number, field: string): number {
  if (Number.isInteger(value) && value >= least && value <= 0xffff_ffff) return value;
  throw new WeftError("invalid_argument", `${field}: ${value} is not a whole number of at least ${least}`, {
    reason: "BAD_NUMBER",
    place: { field },
  });
}
