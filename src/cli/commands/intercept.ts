import {
  type InterceptPlace,
  type InterceptTool,
  interceptDown,
  interceptStatus,
  interceptUp,
} from "../../intercept/intercept.ts";
import { badUsage, type InterceptPlan } from "../../intercept/plan.ts";
import { EXIT } from "../exit-status.ts";
import type { Terminal } from "../terminal.ts";

export interface InterceptFlags {
  netns?: string;
  with?: InterceptTool;
  json: boolean;
}

export interface InterceptUpFlags extends Omit<InterceptFlags, "json"> {
  outbound: number;
  inbound?: number;
  app?: number;
  dns?: number;
  exemptGid: number;
  exclude?: string[];
  virtual: string;
}

export function up(flags: InterceptUpFlags, terminal: Terminal): number {
  const { outbound, inbound, app, dns, exemptGid, exclude = [], virtual } = flags;
  if ((inbound === undefined) !== (app === undefined))
    throw badUsage("--inbound and --app belong together: what comes in for the application goes to the sidecar");
  const plan: InterceptPlan = {
    outbound,
    inbound: inbound === undefined || app === undefined ? null : { port: inbound, app },
    dns: dns ?? null,
    exemptGid,
    exclude,
    virtual,
  };
  const tool = interceptUp(plan, placeOf(flags));
  terminal.out(`intercepted by ${tool}${where(flags)}; undo it with: weft intercept down${option(flags)}\n`);
  return EXIT.ok;
}

export function down(flags: InterceptFlags, terminal: Terminal): number {
  const removed = interceptDown(placeOf(flags));
  terminal.out(
    removed ? `nothing is intercepted any more${where(flags)}\n` : `nothing was intercepted${where(flags)}\n`,
  );
  return EXIT.ok;
}

/** Exit status 1 when nothing is intercepted. */
export function status(flags: InterceptFlags, terminal: Terminal): number {
  const found = interceptStatus(placeOf(flags));
  if (flags.json)
    terminal.out(`${JSON.stringify(found === null ? { intercepted: false } : { intercepted: true, ...found })}\n`);
  else if (found === null) terminal.out(`nothing is intercepted${where(flags)}\n`);
  else {
    terminal.out(`intercepted by ${found.tool}${where(flags)}\n`);
    const width = Math.max(...found.rules.map(({ what }) => what.length));
    for (const { what, connections } of found.rules)
      terminal.out(`  ${what.padEnd(width)}  ${connections} ${connections === 1 ? "connection" : "connections"}\n`);
  }
  return found === null ? EXIT.failed : EXIT.ok;
}

function placeOf(flags: Pick<InterceptFlags, "netns" | "with">): InterceptPlace {
  return { netns: flags.netns ?? null, tool: flags.with ?? null };
}

function where({ netns }: Pick<InterceptFlags, "netns">): string {
  return netns === undefined ? "" : ` in ${netns}`;
}

function option({ netns }: Pick<InterceptFlags, "netns">): string {
  return netns === undefined ? "" : ` --netns ${netns}`;
}
