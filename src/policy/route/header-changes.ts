import type { HeaderModifier, RouteFilter } from "../resource/resources.ts";

/** Changes of a head's fields: `removed` goes before `added` is appended. Flat; null where nothing changes. Names are lower-case. */
export class HeaderChanges {
  added: string[] | null = null;
  removed: string[] | null = null;

  /** Further changes, which see what those before left. */
  apply({ set, add, remove }: HeaderModifier): void {
    for (const name of remove ?? []) this.remove(name.toLowerCase());
    for (const { name, value } of set ?? []) {
      this.remove(name.toLowerCase());
      this.add(name.toLowerCase(), value);
    }
    for (const { name, value } of add ?? []) this.add(name.toLowerCase(), value);
  }

  add(name: string, value: string): void {
    (this.added ??= []).push(name, value);
  }

  remove(name: string): void {
    if (!this.removed?.includes(name)) (this.removed ??= []).push(name);
    const { added } = this;
    if (added === null) return;
    for (let i = added.length - 2; i >= 0; i -= 2) if (added[i] === name) added.splice(i, 2);
    if (added.length === 0) this.added = null;
  }
}

/** What the header modifiers among filters change, in their order. `under` are a rule's own, which those of a backend come after. */
export function headerChanges(
  filters: readonly RouteFilter[],
  under: readonly RouteFilter[] = [],
): { request: HeaderChanges; response: HeaderChanges } {
  const request = new HeaderChanges();
  const response = new HeaderChanges();
  for (const filter of under) apply(filter);
  for (const filter of filters) apply(filter);
  return { request, response };

  function apply(filter: RouteFilter): void {
    if (filter.type === "RequestHeaderModifier") request.apply(filter.requestHeaderModifier);
    else if (filter.type === "ResponseHeaderModifier") response.apply(filter.responseHeaderModifier);
  }
}
