#!/usr/bin/env node
const NEEDED = 24;

// A pipe whose reader has gone (`weft logs users | head`) is no error.
process.stdout.on("error", (error: NodeJS.ErrnoException) => {
  if (error.code === "EPIPE") process.exit(0);
  throw error;
});

const major = Number(process.versions.node.split(".")[0]);
if (major < NEEDED) {
  process.stderr.write(
    `error: weft needs Node ${NEEDED} or later; this is ${process.version}. In a project: npm install --save-dev node@${NEEDED}, then npx weft\n`,
  );
  process.exitCode = 1;
} else {
  // Loaded only now: older versions of Node could not even read it.
  const { enterSmallHeap } = await import("./heap.ts");
  enterSmallHeap(process.argv[2]);
  const { processTerminal } = await import("./terminal.ts");
  const args = process.argv.slice(2);
  // Timers of the platform keep no process alive; a command runs until it has ended.
  const alive = setInterval(() => {}, 0x7fff_ffff);
  const quick = args[0] === "sidecar" ? (await import("./run-sidecar.ts")).runSidecar : null;
  process.exitCode =
    (await quick?.(args.slice(1), processTerminal())) ??
    (await (await import("./program.ts")).runWeft(args, processTerminal()));
  clearInterval(alive);
}

export {};
