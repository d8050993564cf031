import { readFileSync } from "node:fs";
import { hostname } from "node:os";
import { stringify } from "yaml";
import { type Address, envoyBootstrap, type SocketFile } from "../../control/xds/envoy-bootstrap.ts";
import { WeftError } from "../../core/errors.ts";
import { parseAddress } from "../../host/address.ts";
import { controlSecurityOf } from "../../link/control-security.ts";
import { usage } from "../exit-status.ts";
import type { Terminal } from "../terminal.ts";

export interface EnvoyBootstrapFlags {
  service?: string;
  gateway: boolean;
  control: string;
  instance?: string;
  serviceVersion: string;
  zone: string;
  listen?: Address;
  outbound?: Address;
  app?: Address;
  admin?: Address | SocketFile;
  tokenFile?: string;
  sotw: boolean;
  register: boolean;
  json: boolean;
}

/**
 * `weft envoy-bootstrap`: prints what a stock Envoy is started with. A token that says which authority to expect makes it speak TLS with the control plane, which is asked for
 * that authority now. Throws BAD_USAGE.
 */
export async function printEnvoyBootstrap(
  flags: EnvoyBootstrapFlags,
  env: Readonly<Record<string, string | undefined>>,
  terminal: Terminal,
): Promise<void> {
  const { gateway, app = null, outbound = null, listen = null } = flags;
  if (gateway === (flags.service !== undefined)) throw usage("say what Envoy is to be: --service NAME or --gateway");
  if (gateway && (app !== null || outbound !== null))
    throw usage("--app and --outbound are for a sidecar, not for --gateway");
  if ((app === null) !== (listen === null) && !gateway) {
    throw usage(
      "a sidecar that takes calls for its application needs both: --app, where that is, and --listen, where they come in",
    );
  }
  const service = gateway ? "gateway" : (flags.service ?? "");
  const token = tokenOf(flags.tokenFile, env);
  const trust = token === "" ? null : await trustOf(token, flags.control);
  const bootstrap = envoyBootstrap({
    control: flags.control.split(",").map((text) => parseAddress(text) as Address),
    service,
    role: gateway ? "gateway" : "sidecar",
    instance: flags.instance || `${service}-${hostname()}`,
    version: flags.serviceVersion,
    zone: flags.zone,
    listen: gateway ? (listen ?? { host: "0.0.0.0", port: 8_080 }) : listen,
    outbound,
    app,
    admin: flags.admin ?? null,
    token,
    ...(trust !== null && { trust }),
    delta: !flags.sotw,
    register: flags.register,
  });
  const text = flags.json
    ? `${JSON.stringify(bootstrap, null, 2)}\n`
    : stringify(bootstrap, { aliasDuplicateObjects: false });
  terminal.out(text);
}

async function trustOf(token: string, control: string): Promise<{ system: string; roots: string } | null> {
  const security = controlSecurityOf(token, control);
  if (security === null) return null;
  await security.prepare();
  return { system: security.system, roots: security.current.trust };
}

function tokenOf(file: string | undefined, env: Readonly<Record<string, string | undefined>>): string {
  if (file === undefined) return env.WEFT_JOIN_TOKEN ?? "";
  try {
    return readFileSync(file, "utf8").trim();
  } catch (cause) {
    throw new WeftError("not_found", `--token-file: ${file} cannot be read: ${(cause as Error).message}`, {
      reason: "NO_TOKEN_FILE",
      cause,
    });
  }
}
