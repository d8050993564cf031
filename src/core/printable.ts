/** Text that somebody else chose, as logs and terminals may have it: control characters (C0, C1, DEL) and marks that turn the direction of text become "?". */
export function printable(text: string, maxLength = 2_000): string {
  const plain = text.replace(UNSAFE, "?");
  return plain.length > maxLength ? `${plain.slice(0, maxLength)}...` : plain;
}

export function isPrintable(text: string): boolean {
  return text.search(UNSAFE) < 0;
}

// biome-ignore lint/suspicious/noControlCharactersInRegex: control characters are what this is about
const UNSAFE = /[\x00-\x1f\x7f-\x9f\u200e\u200f\u2028-\u202e\u2066-\u2069]/g;
