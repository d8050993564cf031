/** "8080", "0.0.0.0:8080", ":8080", "[::1]:8080". Null when it is none of these. */
export function parseAddress(text: string): { host: string; port: number } | null {
  const match = /^(?:(?:\[([0-9a-fA-F:.]+)\]|([^:[\]\s]*)):)?(\d{1,5})$/.exec(text);
  if (match === null || Number(match[3]) > 65_535) return null;
  return { host: match[1] ?? (match[2] || "127.0.0.1"), port: Number(match[3]) };
}
