import type { Terminal } from "./terminal.ts";

/**
 * Tells people that the application beside a sidecar does not answer (`met` stays pending for 2 s), and when it does. Nobody else says why a service is not to be found: its
 * sidecar registers it only then.
 */
export function tellOfApplication(
  met: Promise<void>,
  app: string,
  service: string,
  terminal: Pick<Terminal, "err">,
): void {
  let told = false;
  const timer = setTimeout(() => {
    told = true;
    terminal.err(`the application does not answer at ${app} yet; ${service} is registered when it does\n`);
  }, ABSENT_MS);
  timer.unref();
  void met.then(() => {
    clearTimeout(timer);
    if (told) terminal.err(`the application answers at ${app}\n`);
  });
}

const ABSENT_MS = 2_000;
