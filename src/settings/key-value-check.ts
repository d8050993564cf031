import { WeftError } from "../core/errors.ts";
import { keyValueLimits } from "./key-value.ts";

/** Throws `invalid_argument`, reason BAD_KEY. What is good as a key is good as a prefix. */
export function assertKey(key: string): void {
  const { maxKeyParts, maxPartLength } = keyValueLimits;
  const parts = key.split("/");
  if (parts.length <= maxKeyParts && parts.every((part) => part.length <= maxPartLength && PART.test(part))) return;
  const shown = JSON.stringify(key.length > 200 ? `${key.slice(0, 200)}...` : key);
  throw new WeftError(
    "invalid_argument",
    `${shown} is no key: it has 1 to ${maxKeyParts} parts between slashes, each 1 to ${maxPartLength} letters, digits or any of . _ - and neither "." nor ".."`,
    { reason: "BAD_KEY" },
  );
}

/** Throws `invalid_argument`, reason VALUE_TOO_LARGE. */
export function assertValue(key: string, value: Uint8Array): void {
  const { maxValueBytes } = keyValueLimits;
  if (value.byteLength <= maxValueBytes) return;
  const text = `the value of ${key} has ${value.byteLength} bytes; at most ${maxValueBytes} are kept in one`;
  throw new WeftError("invalid_argument", text, { reason: "VALUE_TOO_LARGE" });
}

/** Of what is asked after close(). */
export function storeClosed(): WeftError {
  return new WeftError("unavailable", "the store is closed", { reason: "STORE_CLOSED" });
}

/** Paths of other systems give "." and ".." a meaning. */
const PART = /^(?!\.{1,2}$)[A-Za-z0-9._-]+$/;
