/**
 * Parsed heads by their bytes, shared by the connections of a listener or a pool, so that equal heads are one object and whatever upper
 * layers derived from it is found again. Two generations: when the young one is full the old one is dropped, so heads in use stay, at
 * the cost of one more lookup now and then. Bounded: 2 x 512 heads of at most 4 KB.
 */
export class HeadCache<Message> {
  #young = new Map<string, Message>();
  #old = new Map<string, Message>();

  get(text: string): Message | undefined {
    const found = this.#young.get(text);
    if (found !== undefined) return found;
    const older = this.#old.get(text);
    if (older !== undefined) this.set(text, older);
    return older;
  }

  set(text: string, message: Message): void {
    if (text.length > MAX_TEXT) return;
    if (this.#young.size >= GENERATION) {
      this.#old = this.#young;
      this.#young = new Map();
    }
    this.#young.set(text, message);
  }
}

const GENERATION = 512;
const MAX_TEXT = 4_096;
