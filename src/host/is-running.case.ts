import { readFileSync } from "node:fs";

/** Whether a process runs. One that has ended and that nobody has waited for yet (a zombie) does not: who adopts orphans may look only every few seconds. */
export function isRunning(pid: number): boolean {
  try {
    process.kill(pid, 0);
  } catch {
    return false;
  }
  try {
    return !/^\d+ \(.*\) Z/.test(readFileSync(`/proc/${pid}/stat`, "utf8"));
  } catch {
    return process.platform !== "linux";
  }
}
