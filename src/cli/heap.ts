import { setFlagsFromString } from "node:v8";

/**
 * Arguments of Node for weft's own long-running processes: a young generation of at most 4 MB semi-spaces instead of 16, an old one that
 * is collected when it is half again as large as after the last time, instead of four times as large, and functions optimized on the main thread.
 *
 * What a call leaves behind is dead when it is over; large generations only let more of it lie about. Worth 20 MB of `weft proxy` after a
 * million gRPC calls, which then holds what it has after 300,000; the CPU of a call is the same. Half as much young generation has the old one
 * collected each second.
 *
 * Compilers on threads of their own leave up to 19 MB behind that the allocator does not give back: 104 to 116 MB resident, against 89 without them. The
 * first 200,000 calls cost the same either way (7.0 to 7.6 us each, the slowest answered after 56 to 76 ms), and so do later ones (4.6 to 5.2 us).
 *
 * The collector is at hand for endStart.
 */
export const HEAP_ARGUMENTS: readonly string[] = argumentsOf(4, 50);

/**
 * Those of a control plane, which keeps much of what comes: in a small young generation each endpoint is copied more often before it is old, and the old one is collected
 * again and again while it fills. Takes a fifth off the CPU of a registration; of 96,000 endpoints it holds 239 MB instead of 236.
 */
const KEEPER_ARGUMENTS: readonly string[] = argumentsOf(8, 100);

function argumentsOf(semiSpaceMb: number, growingPercent: number): readonly string[] {
  return [
    `--max-semi-space-size=${semiSpaceMb}`,
    `--heap-growing-percent=${growingPercent}`,
    "--no-concurrent-recompilation",
    "--expose-gc",
  ];
}

/**
 * Ends the start of a long-running command, when everything listens and nothing has come yet: collects what it has left behind (source text and its trees, what
 * was read and parsed once) and lets the compilers in. Takes 40 ms. Gives 11 MB back that would lie in pages of the heap until there are many calls.
 */
export function endStart(): void {
  // Without HEAP_ARGUMENTS it is out of reach.
  globalThis.gc?.({ type: "major", execution: "sync", flavor: "last-resort" });
  for (const compiler of COMPILERS) setFlagsFromString(`--${compiler}`);
}

/** Resolving the paths of 500 modules would be compiled and optimized: 7 MB of compilers that are mapped and of code that never runs again. */
function beginStart(): void {
  for (const compiler of COMPILERS) setFlagsFromString(`--no-${compiler}`);
  // What is interpreted meanwhile must go on to count how hot it is.
  setFlagsFromString("--force-emit-interrupt-budget-checks");
}

/** Of V8, by what they cost; below them is its interpreter. */
const COMPILERS = ["turbofan", "maglev", "sparkplug"];

const LONG_RUNNING: ReadonlySet<string> = new Set(["proxy", "gateway", "sidecar", "control", "dns"]);

/**
 * Begins the start of a long-running command, which is to call endStart; does nothing for others. To be called before anything else is loaded. Replaces this process
 * by one with such arguments: same process id, same streams. Where that cannot be done (Windows), the command runs in the heap that there is.
 */
export function enterSmallHeap(command: string | undefined): void {
  if (command === undefined || !LONG_RUNNING.has(command)) return;
  replaceProcess(command === "control" ? KEEPER_ARGUMENTS : HEAP_ARGUMENTS);
  beginStart();
}

function replaceProcess(heap: readonly string[]): void {
  if (process.execve === undefined) return;
  // The channel to a parent would be lost; such parents (weft up) give the arguments themselves.
  if (process.send !== undefined) return;
  const given = [...process.execArgv, process.env.NODE_OPTIONS ?? ""];
  // Set by hand, or by this function in the process that this one replaced.
  if (given.some((argument) => argument.includes("semi-space-size"))) return;
  const args = [process.execPath, ...heap, ...process.execArgv, ...process.argv.slice(1)];
  try {
    process.execve(process.execPath, args, process.env);
  } catch {
    // no such call on this platform, or not allowed under the permission model
  }
}
