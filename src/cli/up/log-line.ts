import type { System } from "../../host/resolve-system.ts";
import { SIDECAR_SUFFIX } from "../../host/sidecar.ts";
import type { HostEvent } from "../../host/types.ts";
import { type Style, sanitize } from "../terminal.ts";

/** Formats events as lines with a prefix for each instance: "products-v1-1 | text" for what it says, "products-v1-1 * text" for what happens to it. */
export class LogLines {
  readonly #width: number;
  readonly #style: Style;
  readonly #colors = new Map<string, number>();
  readonly #keepColors: boolean;

  constructor(system: System, style: Style, keepColors: boolean) {
    // Room for two-digit numbers, so that nothing moves when instances are replaced.
    this.#width = Math.max(
      "gateway-1".length,
      ...system.units.map((unit) => unit.prefix.length + 3 + (unit.sidecar === null ? 0 : BESIDE.length)),
    );
    this.#style = style;
    this.#keepColors = keepColors;
  }

  /** Null for events that people need no line for. */
  format(event: HostEvent): string | null {
    switch (event.type) {
      case "log": {
        const text = sanitize(event.line, this.#keepColors);
        return `${this.#prefix(event.id, event.unit)} ${this.#style.dim("|")} ${text}`;
      }
      case "ready":
      case "replaced":
        return this.#notice(event, this.#style.green);
      case "crashed":
      case "replace-failed":
      case "killing":
        return this.#notice(event, this.#style.red);
      case "restarting":
      case "replacing":
        return this.#notice(event, this.#style.yellow);
      case "exited":
        return this.#notice(event, this.#style.dim);
      default:
        return null;
    }
  }

  #notice(event: HostEvent & { id: string; unit: string; text: string }, style: (text: string) => string): string {
    return `${this.#prefix(event.id || event.unit, event.unit)} ${this.#style.dim("*")} ${style(sanitize(event.text, false))}`;
  }

  #prefix(id: string, unit: string): string {
    let color = this.#colors.get(unit);
    if (color === undefined) {
      color = this.#colors.size;
      this.#colors.set(unit, color);
    }
    return this.#style.nth(color, id.padEnd(this.#width));
  }
}

/** What the id of a sidecar has behind that of its instance. */
const BESIDE = `-${SIDECAR_SUFFIX}`;
