// The guard's process; see guard.ts. Reads "+PID" and "-PID" lines until the host's end of the pipe closes, then ends what is left.
import { signalGroup } from "./process.ts";

const graceMs = Number(process.argv[2]);
const pids = new Set<number>();
let rest = "";

// The terminal's Ctrl-C and hang-up are the host's business; the guard ends when the host does.
for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"] as const) process.on(signal, () => {});

process.stdin.setEncoding("latin1");
process.stdin.on("data", (text: string) => {
  const lines = (rest + text).split("\n");
  rest = lines.pop() ?? "";
  for (const line of lines) {
    const pid = Number(line.slice(1));
    if (line[0] === "+") pids.add(pid);
    else pids.delete(pid);
  }
});
process.stdin.on("close", () => {
  end("SIGTERM");
  if (pids.size > 0) setTimeout(end, graceMs, "SIGKILL");
});

function end(signal: "SIGTERM" | "SIGKILL"): void {
  for (const pid of pids) signalGroup(pid, signal);
}
