import { type ChildProcess, spawn, spawnSync } from "node:child_process";
import { constants } from "node:os";
import { LineSplitter } from "./lines.ts";

/** A running child process, with everything that it started itself: it leads a process group of its own, and signals go to the group. */
export interface HostProcess {
  /** 0 when it could not be started. */
  readonly pid: number;
  /** Asks it to drain and end: SIGTERM to the process; what it started gets it passed on or is killed with the group at its end. */
  terminate(): void;
  /** Ends the whole group now. */
  kill(): void;
  /** To a child with a channel; nothing to one without, or whose channel is closed. */
  send(message: object): void;
}

export interface ProcessSpec {
  readonly command: string;
  readonly args: readonly string[];
  readonly cwd: string;
  /** The whole environment. */
  readonly env: Readonly<Record<string, string>>;
  /** Node children get a channel for messages, which also tells them when the host is gone. Default false. */
  readonly channel?: boolean;
}

export interface ProcessEvents {
  onLine(stream: "out" | "err", line: string): void;
  /** Called once, after the last line. `reason`: "exit status 1", "killed by SIGKILL", "cannot start python3: not found". */
  onExit(reason: string): void;
  onMessage?(message: unknown): void;
}

/** Starts a process. Never throws: what cannot be started exits with a reason, later. */
export function startProcess(spec: ProcessSpec, events: ProcessEvents): HostProcess {
  let child: ChildProcess;
  try {
    child = spawn(spec.command, spec.args as string[], {
      cwd: spec.cwd,
      env: spec.env,
      detached: !WINDOWS,
      windowsHide: true,
      stdio: ["ignore", "pipe", "pipe", ...(spec.channel ? (["ipc"] as const) : [])],
    });
  } catch (error) {
    setImmediate(() => events.onExit(cannotStart(spec.command, error)));
    return { pid: 0, terminate() {}, kill() {}, send() {} };
  }
  const pid = child.pid ?? 0;
  let ended = false;
  let exit: string | null = null;
  let lingerer: NodeJS.Timeout | null = null;

  const out = new LineSplitter((line) => events.onLine("out", line));
  const err = new LineSplitter((line) => events.onLine("err", line));
  child.stdout?.on("data", (chunk: Buffer) => out.push(chunk));
  child.stderr?.on("data", (chunk: Buffer) => err.push(chunk));
  child.on("message", (message) => events.onMessage?.(message));

  const finish = (): void => {
    if (ended) return;
    ended = true;
    if (lingerer !== null) clearTimeout(lingerer);
    out.end();
    err.end();
    events.onExit(exit ?? "ended");
  };
  child.on("error", (error) => {
    // Also comes when a signal cannot be delivered; only a start that failed ends the process.
    if (child.pid !== undefined) return;
    exit = cannotStart(spec.command, error);
    finish();
  });
  child.on("exit", (code, signal) => {
    exit = signal !== null ? `killed by ${signal}` : `exit status ${code}`;
    // Whatever it left behind in its group would hold ports and pipes.
    signalGroup(pid, "SIGKILL");
    // "close" follows once the pipes are empty; a grandchild that left the group could keep them open for ever.
    lingerer = setTimeout(() => {
      child.stdout?.destroy();
      child.stderr?.destroy();
      finish();
    }, LINGER_MS);
  });
  child.on("close", finish);

  return {
    pid,
    terminate() {
      if (!ended && exit === null && !child.kill("SIGTERM")) this.kill();
    },
    kill() {
      if (!ended && pid !== 0) signalGroup(pid, "SIGKILL");
    },
    send(message) {
      if (child.connected) child.send(message, () => {});
    },
  };
}

/** Sends a signal to a process group; nobody there is fine. On Windows the process tree is ended, whatever the signal. */
export function signalGroup(pid: number, signal: "SIGTERM" | "SIGKILL"): void {
  if (pid <= 0) return;
  if (WINDOWS) {
    spawnSync("taskkill", ["/pid", String(pid), "/t", ...(signal === "SIGKILL" ? ["/f"] : [])], {
      windowsHide: true,
      stdio: "ignore",
    });
    return;
  }
  try {
    process.kill(-pid, constants.signals[signal]);
  } catch {
    // ESRCH: the group is gone.
  }
}

/** Whether a process with this id exists. One that belongs to somebody else counts. */
export function processExists(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === "EPERM";
  }
}

const WINDOWS = process.platform === "win32";
const LINGER_MS = 500;

function cannotStart(command: string, error: unknown): string {
  const code = (error as NodeJS.ErrnoException).code;
  const why =
    code === "ENOENT"
      ? "not found"
      : code === "EACCES"
        ? "not executable"
        : error instanceof Error
          ? error.message
          : String(error);
  return `cannot start ${command}: ${why}`;
}
