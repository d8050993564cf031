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
