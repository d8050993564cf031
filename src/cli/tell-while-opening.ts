import { vendorOf } from "./vendor.ts";

/** Says soon that a place does not answer yet, and for how long it is tried: whoever waits would look at nothing until that is over, and then at an error. */
export async function tellWhileOpening<T>(
  url: string,
  opening: Promise<T>,
  timeoutMs: number,
  tell: (message: string) => void,
): Promise<T> {
  const text = `${vendorOf(url)} does not answer yet; it is asked for ${Math.round(timeoutMs / 1_000)} s before this is given up`;
  const timer = setTimeout(() => tell(text), SOON_MS);
  try {
    return await opening;
  } finally {
    clearTimeout(timer);
  }
}

/** How long drivers wait for a server at the start, unless they are told otherwise. */
export const OPEN_TIMEOUT_MS = 10_000;
/** More than a server that is well takes. */
const SOON_MS = 500;
