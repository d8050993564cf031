/**
 * Arguments of Node for weft's own long-running processes: a young generation of at most 4 MB semi-spaces instead of 16.
 *
 * What a call leaves behind is dead when it is over; a large young generation only lets more of it lie about. Worth 25 to 45 MB of resident
 * memory after many calls, at a CPU cost a call that is within the noise (docs/operations.md has the figures).
 */
export const HEAP_ARGUMENTS: readonly string[] = ["--max-semi-space-size=4"];

const LONG_RUNNING: ReadonlySet<string> = new Set(["proxy", "gateway", "control"]);

/**
 * Replaces this process by one with HEAP_ARGUMENTS when it is to run such a command: same process id, same streams. To be called before
 * anything else is loaded. Returns when there is nothing to do, or it cannot be done (Windows): the command then runs as it is.
 */
export function enterSmallHeap(command: string | undefined): void {
  if (command === undefined || !LONG_RUNNING.has(command) || process.execve === undefined) return;
  // The channel to a parent would be lost; such parents (weft up) give the arguments themselves.
  if (process.send !== undefined) return;
  const given = [...process.execArgv, process.env.NODE_OPTIONS ?? ""];
  // Set by hand, or by this function in the process that this one replaced.
  if (given.some((argument) => argument.includes("semi-space-size"))) return;
  const args = [process.execPath, ...HEAP_ARGUMENTS, ...process.execArgv, ...process.argv.slice(1)];
  try {
    process.execve(process.execPath, args, process.env);
  } catch {
    // no such call on this platform, or not allowed under the permission model
  }
}
