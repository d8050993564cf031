import { WeftError } from "./errors.ts";

/** Metadata that holds the tags of an endpoint: separated by commas, with a backslash before a comma or backslash within one. */
export const TAGS_METADATA = "tags";

export function encodeTags(tags: readonly string[]): string {
  return tags.map((tag) => tag.replace(/[\\,]/g, "\\$&")).join(",");
}

export function decodeTags(text: string): string[] {
  if (text === "") return [];
  const tags: string[] = [];
  let tag = "";
  for (let i = 0; i < text.length; i++) {
    if (text[i] === "\\" && i + 1 < text.length) tag += text[++i];
    else if (text[i] === ",") {
      tags.push(tag);
      tag = "";
    } else tag += text[i];
  }
  tags.push(tag);
  return tags;
}

/** Those that an endpoint was registered with. */
export function tagsOf({ metadata }: { readonly metadata: Readonly<Record<string, string>> }): string[] {
  return decodeTags(metadata[TAGS_METADATA] ?? "");
}

/** Metadata with these tags beside those that it has; the same where there are none. */
export function withTags(
  metadata: Readonly<Record<string, string>>,
  tags: readonly string[],
): Readonly<Record<string, string>> {
  if (tags.length === 0) return metadata;
  return { ...metadata, [TAGS_METADATA]: encodeTags([...new Set([...tagsOf({ metadata }), ...tags])]) };
}

/** Those of WEFT_TAGS. Throws `invalid_argument` that names the variable. */
export function readTags(env: Readonly<Record<string, string | undefined>>): readonly string[] {
  const text = env.WEFT_TAGS ?? "";
  const tags = parseTags(text);
  if (tags !== null) return tags;
  throw new WeftError(
    "invalid_argument",
    `the environment variable WEFT_TAGS is "${text}"; it must be TAG,... of letters, digits and . _ / -`,
    { reason: "BAD_ENVIRONMENT", place: { field: "WEFT_TAGS" } },
  );
}

/** "canary,blue", as people write them: letters, digits and . _ / - each (those of others, Consul's, may be anything). Null where one is not. */
export function parseTags(text: string): string[] | null {
  const tags = text
    .split(",")
    .map((tag) => tag.trim())
    .filter((tag) => tag !== "");
  return tags.length <= MAX_TAGS && tags.every((tag) => TAG.test(tag)) ? [...new Set(tags)] : null;
}

const TAG = /^[\w./-]{1,63}$/;
const MAX_TAGS = 15;
