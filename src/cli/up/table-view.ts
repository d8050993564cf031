import { formatMs } from "../../host/format-ms.ts";
import type { System } from "../../host/resolve-system.ts";
import type { Host, HostEvent } from "../../host/types.ts";
import { fit, type Terminal } from "../terminal.ts";
import type { CallFigures } from "./call-stats.ts";
import { LogLines } from "./log-line.ts";
import { renderTable } from "./table.ts";
import type { UpView } from "./views.ts";

/**
 * The live table with the newest log lines below it, on the terminal's alternate screen; the last log lines stay on the ordinary one. Drawn at most ten times a second and only when
 * something changed; each line is written whole and cut to the width, so that nothing wraps or flickers.
 *
 *     shop   ready http://127.0.0.1:8080   up 12 s
 *
 *     SERVICE   VERSION  ...
 *     users              ...
 *     ------------------------------------------------
 *     users-1    | newest log lines
 */
export class TableView implements UpView {
  readonly #system: System;
  readonly #host: () => Host;
  readonly #stats: CallFigures;
  readonly #terminal: Terminal;
  readonly #lines: LogLines;
  readonly #log: string[] = [];
  readonly #started = performance.now();
  #state = "starting";
  #timer: NodeJS.Timeout | null = null;
  readonly #ticker: NodeJS.Timeout;
  readonly #resize = (): void => this.#changed();
  readonly #restore = (): void => this.#terminal.out(LEAVE);

  constructor(system: System, host: () => Host, stats: CallFigures, terminal: Terminal) {
    this.#system = system;
    this.#host = host;
    this.#stats = stats;
    this.#terminal = terminal;
    this.#lines = new LogLines(system, terminal.color, true);
    terminal.out(ENTER);
    process.once("exit", this.#restore);
    process.stdout.on("resize", this.#resize);
    this.#ticker = setInterval(() => this.#changed(), 1_000);
    this.#ticker.unref();
  }

  event(event: HostEvent): void {
    const line = this.#lines.format(event);
    if (line !== null) this.#push(line);
    if (event.type === "stopping") {
      const { red, yellow } = this.#terminal.color;
      this.#state = event.reason === null ? yellow("stopping (Ctrl-C again kills)") : red(`stopping: ${event.reason}`);
    }
    this.#changed();
  }

  ready(lines: readonly string[]): void {
    this.#state = this.#terminal.color.green(lines[0] ?? "ready");
    for (const line of lines) this.#push(line);
    this.#changed();
  }

  close(): void {
    clearInterval(this.#ticker);
    if (this.#timer !== null) clearTimeout(this.#timer);
    process.stdout.off("resize", this.#resize);
    process.off("exit", this.#restore);
    this.#terminal.out(LEAVE);
    // The alternate screen takes its lines with it; on the ordinary one they can be scrolled back to. In one piece, so that the shell's prompt comes after it.
    const kept = this.#log.slice(-KEPT_AFTER).map((line) => `${line}\n`);
    this.#terminal.out(
      `${kept.join("")}${this.#system.name} has stopped after ${formatMs(performance.now() - this.#started)}\n`,
    );
  }

  #push(line: string): void {
    this.#log.push(line);
    if (this.#log.length > KEPT_LINES) this.#log.splice(0, this.#log.length - KEPT_LINES);
  }

  #changed(): void {
    if (this.#timer !== null) return;
    this.#timer = setTimeout(() => {
      this.#timer = null;
      this.#draw();
    }, FRAME_MS);
    this.#timer.unref();
  }

  #draw(): void {
    const { columns, rows, color } = this.#terminal;
    const up = color.dim(`up ${formatMs(Math.floor((performance.now() - this.#started) / 1_000) * 1_000)}`);
    const table = renderTable(this.#system, this.#host().instances(), this.#stats, color);
    const head = [
      `${color.bold(this.#system.name)}  ${this.#state}  ${up}`,
      "",
      ...table,
      color.dim("─".repeat(columns)),
    ];
    const top = head.slice(0, rows);
    const room = rows - top.length;
    const log = room > 0 ? this.#log.slice(-room) : [];
    const lines = [...top, ...log];
    let frame = BEGIN;
    for (const [i, line] of lines.entries()) frame += `\x1b[${i + 1};1H${fit(line, columns)}\x1b[K`;
    this.#terminal.out(`${frame}\x1b[J${END}`);
  }
}

const FRAME_MS = 100;
const KEPT_LINES = 500;
/** As many are left behind when the system has stopped; files hold all (docs/system.md). */
const KEPT_AFTER = 200;
/** Alternate screen, cursor hidden; and back. */
const ENTER = "\x1b[?1049h\x1b[?25l\x1b[2J";
const LEAVE = "\x1b[?25h\x1b[?1049l";
/** Synchronized update: terminals that know it show the frame at once, others ignore it. */
const BEGIN = "\x1b[?2026h";
const END = "\x1b[?2026l";
