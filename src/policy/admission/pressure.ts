/**
 * Reasons to shed, beside the process's own load: whoever has one (an objective whose error budget burns) says which share of a service's calls had better
 * not be made, the least important first. Admission takes the greatest.
 */
export class PressureSources {
  readonly #sources = new Map<string, { service: string; pressure: number }>();
  /** By service; made anew after a change. */
  readonly #greatest = new Map<string, PressureReading>();

  /**
   * @param source who says so, for people: "Objective orders"
   * @param service registry name; "" for all
   * @param pressure 0..1: the share to shed; 0 takes the reason away
   */
  set(source: string, service: string, pressure: number): void {
    this.#greatest.clear();
    const id = `${source}\u0000${service}`;
    if (!(pressure > 0)) this.#sources.delete(id);
    else if (this.#sources.size < MAX_SOURCES || this.#sources.has(id))
      this.#sources.set(id, { service, pressure: Math.min(1, pressure) });
  }

  /** Takes all of a source's reasons away. */
  clear(source: string): void {
    this.#greatest.clear();
    for (const id of this.#sources.keys()) if (id.startsWith(`${source}\u0000`)) this.#sources.delete(id);
  }

  /** The greatest pressure on a service's calls, and whose it is. */
  of(service: string): PressureReading {
    if (this.#sources.size === 0) return NONE;
    let reading = this.#greatest.get(service);
    if (reading === undefined) {
      reading = NONE;
      for (const [id, { service: on, pressure }] of this.#sources) {
        if ((on === "" || on === service) && pressure > reading.pressure)
          reading = { pressure, source: id.slice(0, id.indexOf("\u0000")) };
      }
      if (this.#greatest.size >= MAX_SOURCES) this.#greatest.clear();
      this.#greatest.set(service, reading);
    }
    return reading;
  }
}

export interface PressureReading {
  readonly pressure: number;
  readonly source: string;
}

const NONE: PressureReading = { pressure: 0, source: "" };
const MAX_SOURCES = 10_000;
