import type { Clock } from "./clock.ts";

/** What `work` comes to, if it does by `deadline` (the clock's, ms); otherwise rejects with what `late` makes. The work itself goes on. */
export function within<T>(clock: Clock, deadline: number, work: Promise<T>, late: () => Error): Promise<T> {
  return new Promise((resolve, reject) => {
    const cancel = clock.after(Math.max(0, deadline - clock.now()), () => reject(late()));
    work.then(resolve, reject).finally(cancel);
  });
}
