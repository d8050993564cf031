import type { System } from "../../host/resolve-system.ts";
import type { Host, HostEvent } from "../../host/types.ts";
import type { Terminal } from "../terminal.ts";
import type { CallFigures } from "./call-stats.ts";
import { LogLines } from "./log-line.ts";
import { TableView } from "./table-view.ts";

/** What `weft up` shows. */
export interface UpView {
  event(event: HostEvent): void;
  /** The system is ready: what to show, line by line. */
  ready(lines: readonly string[]): void;
  /** The last thing that is called. */
  close(): void;
}

/** JSON lines with `json`, the live table in a terminal, plain lines elsewhere and with `plain`. */
export function createView(
  system: System,
  host: () => Host,
  stats: CallFigures,
  terminal: Terminal,
  flags: { json: boolean; plain: boolean },
): UpView {
  if (flags.json) return jsonView(host, terminal);
  if (terminal.interactive && !flags.plain) return new TableView(system, host, stats, terminal);
  const lines = new LogLines(system, terminal.color, terminal.interactive);
  return {
    event(event) {
      const line = lines.format(event);
      if (line !== null) terminal.out(`${line}\n`);
      if (event.type === "stopping") terminal.out("stopping\n");
    },
    ready: (all) => terminal.out(`${all.join("\n")}\n`),
    close() {},
  };
}

function jsonView(host: () => Host, terminal: Terminal): UpView {
  return {
    event(event) {
      const { gatewayAdmin: admin, control, dns } = host();
      const more = event.type === "system-ready" ? { admin, control, dns } : {};
      terminal.out(`${JSON.stringify({ time: new Date().toISOString(), ...event, ...more })}\n`);
    },
    ready() {}, // the event says it
    close() {},
  };
}
