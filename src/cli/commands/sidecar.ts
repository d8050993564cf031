import { hostPort } from "../../core/address.ts";
import { readTags } from "../../core/endpoint-tags.ts";
import { WeftError } from "../../core/errors.ts";
import { systemRandom } from "../../core/random.ts";
import { identityProof } from "../../link/line-proof.ts";
import { createLink } from "../../link/link.ts";
import { DecisionJournal } from "../../policy/decision/journal.ts";
import { createPolicyRuntime } from "../../policy/snapshot/create-runtime.ts";
import type { AccessLogMode } from "../../proxy/access-log.ts";
import type { AppProtocol } from "../../proxy/sidecar/application.ts";
import type { EgressMode } from "../../proxy/sidecar/egress.ts";
import type { Names } from "../../proxy/sidecar/names.ts";
import { type Sidecar, startSidecar } from "../../proxy/sidecar/sidecar.ts";
import { joinMesh } from "../join-mesh.ts";
import { tellOfApplication } from "../tell-of-application.ts";
import type { Terminal } from "../terminal.ts";
import { tellHost, untilStopped } from "../until-stopped.ts";
import { packageVersion } from "../version.ts";

export interface SidecarFlags {
  service: string;
  app: { host: string; port: number };
  control: string;
  listen?: { host: string; port: number };
  outbound?: { host: string; port: number };
  admin?: { host: string; port: number };
  appProtocol: AppProtocol;
  health: string;
  serviceVersion: string;
  instance?: string;
  advertise?: string;
  egress: EgressMode;
  dns?: { host: string; port: number };
  virtual?: string;
  virtualPorts?: number[];
  resolver?: { host: string; port: number }[];
  transparent?: { host: string; port: number };
  gid?: number;
  accessLog: AccessLogMode;
  drain: number;
  stateFile?: string;
}

/** `weft sidecar`: beside an application, until it is stopped. */
export async function sidecar(flags: SidecarFlags, terminal: Terminal): Promise<number> {
  const { service, instance } = flags;
  // Before there is a socket: each keeps the group with which it was made.
  if (flags.gid !== undefined) takeGroup(flags.gid);
  const zone = process.env.WEFT_ZONE ?? "";
  const tags = readTags(process.env);
  const policy = createPolicyRuntime({ random: systemRandom, journal: new DecisionJournal(), zone, service });
  const onProblem = (error: Error): void => terminal.err(`${error.message}\n`);
  const identity = await joinMesh(flags.control, service, onProblem);
  let beside: Sidecar | null = null;
  const link = createLink({
    address: flags.control,
    control: identity?.control,
    onTrust: (pem) => identity?.trust(pem),
    ...(identity && { proof: identityProof(() => identity) }),
    policy,
    service,
    role: "sidecar",
    load: () => (beside === null ? [] : [beside.load()]),
    process: `${instance ?? service}-sidecar`,
    version: `weft ${packageVersion()}`,
    ...(flags.stateFile && { stateFile: flags.stateFile }),
    onError: onProblem,
  });
  try {
    // The policies of its own service, before the first call is taken.
    await link.subscribe(service, 15_000);
    const running = (beside = await startSidecar({
      ...flags,
      version: flags.serviceVersion,
      zone,
      tags,
      policy,
      link,
      identity,
      write: (text) => terminal.out(text),
      onProblem,
    }));
    if (flags.transparent !== undefined) await takeInterceptedAt(running, flags.transparent);
    const names = flags.dns === undefined ? null : await namesBeside(running, flags, flags.dns, onProblem);
    const url = `http://${hostPort(running.inbound.host, running.inbound.port)}`;
    const outbound = hostPort(running.outbound.host, running.outbound.port);
    const admin = running.admin === null ? "" : `http://${hostPort(running.admin.host, running.admin.port)}`;
    if (!tellHost(url, admin, { outbound })) {
      terminal.out(`${service} at ${url}; its calls go out at ${outbound}; metrics at ${admin}/metrics\n`);
      tellOfApplication(running.met, hostPort(flags.app.host, flags.app.port), service, terminal);
    }
    drainWhenTold(running, flags.drain);
    const stop = async (): Promise<void> => {
      await running.stop(flags.drain);
      await names?.close();
    };
    return await untilStopped(stop, running.met);
  } finally {
    await link.close();
    await identity?.close();
  }
}

/** Answers DNS queries; loaded when it is used. */
async function namesBeside(
  running: Sidecar,
  flags: SidecarFlags,
  dns: { host: string; port: number },
  onProblem: (error: Error) => void,
): Promise<Names> {
  const { DEFAULT_PORTS, openNames } = await import("../../proxy/sidecar/names.ts");
  const { virtual, virtualPorts, resolver, instance, service, transparent } = flags;
  return openNames(running, {
    dns,
    ...(virtual !== undefined && { network: virtual }),
    ports: [...(virtualPorts ?? DEFAULT_PORTS), ...(transparent === undefined ? [] : [transparent.port])],
    ...(resolver && { resolvers: resolver }),
    seed: instance ?? service,
    onProblem,
  });
}

/** At the loopback address of both families, where it is one: connections are redirected to their own family's. */
async function takeInterceptedAt(running: Sidecar, { host, port }: { host: string; port: number }): Promise<void> {
  const first = await running.listenTransparent({ host, port });
  if (host !== "127.0.0.1") return;
  await running.listenTransparent({ host: "::1", port: first.port }).catch((thrown: unknown) => {
    // A machine without IPv6 redirects nothing there.
    if (!(thrown instanceof WeftError && (thrown.reason === "ADDRESS_UNKNOWN" || thrown.reason === "LISTEN_FAILED")))
      throw thrown;
  });
}

function takeGroup(gid: number): void {
  try {
    process.setgid?.(gid);
  } catch (thrown) {
    throw new WeftError(
      "failed_precondition",
      `--gid ${gid}: ${(thrown as Error).message}; only root may take a group`,
      {
        reason: "NOT_PERMITTED",
        cause: thrown,
      },
    );
  }
}

/** The host ends an application in two steps: first its sidecar takes no more calls, then, when what the application calls is done too, it is stopped. */
function drainWhenTold(running: Sidecar, drainMs: number): void {
  process.on("message", (message: { type?: unknown } | null) => {
    if (message?.type !== "weft:drain") return;
    void running.drain(drainMs).finally(() => {
      if (process.connected) process.send?.({ type: "weft:drained" });
    });
  });
}
