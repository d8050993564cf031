import { bad } from "./refusal.ts";

/**
 * Fields of an object that came as JSON. Names are taken as Consul takes them: in any case, with underscores or without ("ServiceID", "service_id"). What is null is absent.
 * done() throws for what nobody asked for, so that nothing is taken that does not act.
 */
export class Fields {
  readonly path: string;
  readonly #values = new Map<string, { readonly name: string; readonly value: unknown }>();

  /** `path`: what stands before names in messages ("Check."). */
  constructor(value: unknown, path: string) {
    this.path = path;
    if (typeof value !== "object" || value === null || Array.isArray(value))
      throw bad("must be a JSON object", path.replace(/\.$/, "") || "the body");
    for (const [name, one] of Object.entries(value))
      if (one !== null) this.#values.set(keyOf(name), { name, value: one });
  }

  /** Takes a field; undefined without one. */
  take(name: string): unknown {
    const key = keyOf(name);
    const found = this.#values.get(key);
    this.#values.delete(key);
    return found?.value;
  }

  /** "" without one. */
  text(name: string): string {
    const value = this.take(name) ?? "";
    if (typeof value !== "string") throw bad(`must be a text, not ${typeof value}`, this.path + name);
    return value;
  }

  flag(name: string): boolean {
    const value = this.take(name) ?? false;
    if (typeof value !== "boolean") throw bad(`must be true or false, not ${typeof value}`, this.path + name);
    return value;
  }

  /** undefined without one. */
  whole(name: string): number | undefined {
    const value = this.take(name);
    if (value !== undefined && !Number.isInteger(value)) throw bad("must be a whole number", this.path + name);
    return value as number | undefined;
  }

  list(name: string): readonly unknown[] {
    const value = this.take(name) ?? [];
    if (!Array.isArray(value)) throw bad("must be a list", this.path + name);
    return value;
  }

  texts(name: string): string[] {
    return this.list(name).map((value) => {
      if (typeof value !== "string") throw bad("must be a list of texts", this.path + name);
      return value;
    });
  }

  textMap(name: string): Record<string, string> {
    const value = this.take(name) ?? {};
    if (typeof value !== "object" || Array.isArray(value)) throw bad("must be a map of texts", this.path + name);
    for (const [key, text] of Object.entries(value as object))
      if (typeof text !== "string") throw bad("must be a text", `${this.path}${name}.${key}`);
    return value as Record<string, string>;
  }

  /** Takes fields that are there but say nothing (false, 0, "", empty): clients send them. What says something is `refuse`d by name. */
  empty(names: readonly string[], refuse: (name: string) => Error): void {
    for (const name of names) if (!saysNothing(this.take(name))) throw refuse(this.path + name);
  }

  done(): void {
    for (const { name, value } of this.#values.values())
      if (!saysNothing(value)) throw bad("is not known here", this.path + name);
  }
}

function saysNothing(value: unknown, depth = 0): boolean {
  if (value === undefined || value === null || value === false || value === 0 || value === "") return true;
  return (
    typeof value === "object" && depth < MAX_DEPTH && Object.values(value).every((one) => saysNothing(one, depth + 1))
  );
}

/** Nothing of Consul's is nested as deep. */
const MAX_DEPTH = 8;

function keyOf(name: string): string {
  return name.replaceAll("_", "").toLowerCase();
}
