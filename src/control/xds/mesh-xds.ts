import type { Clock } from "../../core/clock.ts";
import type { AnyServiceDefinition } from "../../service/definition.ts";
import type { JoinTokens } from "../authority/join-tokens.ts";
import { createXdsServices, defaultXdsLimits } from "./services.ts";
import { XdsStatus } from "./status.ts";
import { MeshSource, type MeshSourceParts } from "./translate/mesh-source.ts";

export interface MeshXdsParts extends MeshSourceParts {
  readonly tokens: Pick<JoinTokens, "admit">;
  readonly clock: Clock;
  /** Gets a line for every resource that a data plane refuses. */
  readonly log: (line: string) => void;
}

/** xDS as the control plane serves it: the mesh's own resources, to Envoys and gRPC clients. */
export interface MeshXds {
  readonly services: readonly AnyServiceDefinition[];
  readonly status: XdsStatus;
  readonly source: MeshSource;
  /** Ends the streams; data planes keep what they have and come back. */
  close(): void;
}

/** A node that brings a join token is the service that it was made for, and gets certificates; one without gets resources alone, and calls in the clear. */
export function createMeshXds(parts: MeshXdsParts): MeshXds {
  const { tokens, clock, log } = parts;
  const source = new MeshSource(parts);
  const status = new XdsStatus(log);
  const services = createXdsServices({
    source,
    status,
    clock,
    limits: defaultXdsLimits,
    authenticate: async (token, { id }) => (token === null ? null : (await tokens.admit(token, id)).service),
    identifier: "weft",
  });
  const close = () => {
    status.end();
    source.close();
  };
  return { services, status, source, close };
}
