import { mkdirSync, readFileSync } from "node:fs";
import { resolve } from "node:path";
import { type ControlPlane, type IdentityOptions, startControlPlane } from "../../control/control-plane.ts";
import { hostPort } from "../../core/address.ts";
import { WeftError } from "../../core/errors.ts";
import type { Listener } from "../../net/types.ts";
import type { ConsistencyMode } from "../../registry/registry.ts";
import { readSettingsKeys } from "../../settings/sealed.ts";
import { openRegistry } from "../open-registry.ts";
import { openStore, storeUrlOf } from "../open-store.ts";
import type { Terminal } from "../terminal.ts";
import { tellHost, untilStopped } from "../until-stopped.ts";
import { packageVersion } from "../version.ts";

export interface ControlFlags {
  listen: { host: string; port: number };
  plain: boolean;
  data?: string;
  registry?: string;
  store?: string;
  mode?: ConsistencyMode;
  consul?: { host: string; port: number };
  system: string;
  caCert?: string;
  caKey?: string;
  caTrust?: string;
  certLifetime?: number;
  operatorTokenFile?: string;
  advertise?: string;
  admin?: { host: string; port: number };
}

export async function control(flags: ControlFlags, terminal: Terminal): Promise<number> {
  const dataDir = flags.data === undefined ? "" : resolve(flags.data);
  // Endpoints, contracts and policies are its user's business alone, as its keys are.
  if (dataDir !== "") mkdirSync(dataDir, { recursive: true, mode: 0o700 });
  const operatorToken = givenOperatorToken(flags.operatorTokenFile);
  const tell = (message: string): void => terminal.err(`registry: ${message}\n`);
  const { registry: url = "", mode } = flags;
  const registry = await openRegistry({ url, dataDir, system: flags.system || "default", mode, tell });
  const storeUrl = storeUrlOf(flags);
  // A repository keeps revisions alone.
  const sharedUrl = storeUrl.startsWith("git:") ? storeUrlOf({ ...flags, store: "" }) : storeUrl;
  const { keyValue: store, revisions } = await openStore({
    url: storeUrl,
    otherwise: sharedUrl,
    dataDir,
    system: flags.system || "default",
    tell: (message) => terminal.err(`store: ${message}\n`),
  }).catch(async (thrown: unknown) => {
    await registry.close();
    throw thrown;
  });
  const plane = await startControlPlane({
    registry,
    store,
    ...(revisions !== undefined && { revisions }),
    onLedger: (line) => terminal.err(`revisions: ${line}\n`),
    dataDir,
    // Whatever several could open, several may.
    shared: sharedUrl !== "",
    ...(flags.advertise !== undefined && { advertise: flags.advertise }),
    ...flags.listen,
    plain: flags.plain,
    ...(flags.consul && { consul: flags.consul }),
    // Where nobody can know the token, anyone may.
    publishers: dataDir === "" && operatorToken === "" ? "anyone" : "operator",
    version: packageVersion(),
    settingsKeys: readSettingsKeys(process.env),
    ...(flags.system !== "" && { system: flags.system }),
    onRefusal: (line) => terminal.err(`${line}\n`),
    identity: {
      operatorToken,
      onEvent: (message) => terminal.err(`identity: ${message}\n`),
      ...(flags.certLifetime !== undefined && { leafLifetimeMs: flags.certLifetime * 1_000 }),
      ...givenAuthority(flags),
    },
  });
  const address = `http://${plane.address}`;
  if (!tellHost(address, address))
    terminal.out(
      `control plane${flags.system === "" ? "" : ` of ${flags.system}`} at ${plane.address}; for processes: WEFT_CONTROL=${plane.address}\n`,
    );
  if (plane.consul !== null) {
    const at = hostPort(plane.consul.host, plane.consul.port);
    terminal.out(`Consul's API at ${at}; for its clients: CONSUL_HTTP_ADDR=${at}\n`);
  }
  const admin = flags.admin === undefined ? null : await startAdmin(plane, flags.admin);
  if (admin !== null) terminal.out(`metrics at http://${hostPort(admin.host, admin.port)}/metrics\n`);
  return untilStopped(async () => {
    await plane.stop();
    await admin?.close();
  });
}

async function startAdmin(plane: ControlPlane, at: { host: string; port: number }): Promise<Listener> {
  const [{ createAdminHandler }, { listen }] = await Promise.all([
    import("../../proxy/admin.ts"),
    import("../../net/listener.ts"),
  ]);
  const handler = createAdminHandler({ metrics: plane.metrics, notReady: () => plane.notReady });
  try {
    return await listen({ ...at, handler });
  } catch (thrown) {
    await plane.stop();
    throw thrown;
  }
}

/** Whoever has one join token can try guesses against it without asking anybody. */
function givenOperatorToken(file: string | undefined): string {
  const token = file === undefined ? (process.env.WEFT_OPERATOR_TOKEN ?? "") : readFileSync(file, "utf8").trim();
  if ((token === "" && file === undefined) || token.length >= MIN_TOKEN) return token;
  const text = `${file ?? "WEFT_OPERATOR_TOKEN"} has ${token.length} characters, and could be guessed; it needs at least ${MIN_TOKEN}: openssl rand -base64 32`;
  throw new WeftError("invalid_argument", text, { reason: "BAD_OPERATOR_TOKEN" });
}

const MIN_TOKEN = 16;

/** Read when it starts. Throws `invalid_argument` for a certificate without its key, and the other way round. */
function givenAuthority({ caCert, caKey, caTrust }: ControlFlags): Pick<IdentityOptions, "given"> {
  if (caCert === undefined && caKey === undefined && caTrust === undefined) return {};
  if (caCert === undefined || caKey === undefined)
    throw new WeftError("invalid_argument", "--ca-cert and --ca-key belong together", { reason: "BAD_AUTHORITY" });
  const read = (file: string): string => readFileSync(file, "utf8");
  return {
    given: {
      certificate: read(caCert),
      privateKey: read(caKey),
      ...(caTrust !== undefined && { trust: read(caTrust) }),
    },
  };
}
