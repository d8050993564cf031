// Drives a unary client, `call()` a promise each, with a fixed number of calls in flight, and prints what a call cost this process.
// Arguments of the programs that use it: PORT CALLS.

/** @param {() => Promise<unknown>} call */
export async function drive(call, calls, inFlight = 32) {
  await run(call, Math.min(calls, 20_000), inFlight); // warm-up: connection, optimising compiler
  const cpu = process.cpuUsage();
  const began = performance.now();
  await run(call, calls, inFlight);
  const { user, system } = process.cpuUsage(cpu);
  const seconds = (performance.now() - began) / 1_000;
  console.log(JSON.stringify({ cpuMicrosPerCall: (user + system) / calls, callsPerSecond: calls / seconds }));
}

async function run(call, calls, inFlight) {
  let left = calls;
  const worker = async () => {
    while (left-- > 0) await call();
  };
  await Promise.all(Array.from({ length: inFlight }, worker));
}
