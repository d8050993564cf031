import { versionOf } from "./api-resource.ts";

/**
 * Versions that only grow, also when the cluster's data are lost or set back to older ones, after which resourceVersions count from less. They are told apart from old ones because whatever is written, or
 * listed, after a version was seen has a greater one; from then on all that comes has what was known before added to it.
 */
export class VersionLine {
  /** The greatest resourceVersion of these data that was seen. */
  #highest = 0;
  #added = 0;
  #data = 0;

  /** What has been seen until now: to be taken before something is asked. */
  get mark(): VersionMark {
    return { data: this.#data, highest: this.#highest };
  }

  of(resourceVersion: string): number {
    const version = versionOf(resourceVersion);
    this.#highest = Math.max(this.#highest, version);
    return this.#added + version;
  }

  /** The resourceVersion of a version; null: it was of other data. */
  resourceVersionOf(version: number): string | null {
    return version > this.#added ? String(version - this.#added) : null;
  }

  /** `resourceVersion` is of something that was written (or all that there is, as of then) after the mark. True: these are other data than before. */
  isReplaced(resourceVersion: string, { data, highest }: VersionMark): boolean {
    const version = versionOf(resourceVersion);
    if (data !== this.#data || version >= highest) return false;
    this.#added += this.#highest;
    this.#highest = version;
    this.#data++;
    return true;
  }
}

export interface VersionMark {
  readonly data: number;
  readonly highest: number;
}
