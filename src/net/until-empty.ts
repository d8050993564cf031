/** Resolves when `onEmpty` was called, or after `timeoutMs`. */
export function untilEmpty(timeoutMs: number, tell: (onEmpty: () => void) => void): Promise<void> {
  return new Promise((resolve) => {
    const timer = setTimeout(resolve, timeoutMs);
    tell(() => {
      clearTimeout(timer);
      resolve();
    });
  });
}
