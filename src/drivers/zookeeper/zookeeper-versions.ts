/**
 * Versions of endpoints: the transactions that wrote them, which grow. When ZooKeeper's data are lost, or somebody deletes them all, transactions may begin at 1 again: then what they are
 * added to is raised, so that versions go on where they were, and no version of the old data is taken for one of the new.
 */
export class ZookeeperVersions {
  #data: string | null = null;
  #floor = 0;
  #highest = 0;

  /** What is read from now on is of these data: when their folder was made, and by which transaction. True: what was there before is lost. */
  reading({ ctime, czxid }: { readonly ctime: bigint; readonly czxid: bigint }): boolean {
    const data = `${ctime} ${czxid}`;
    const lost = this.#data !== null && this.#data !== data;
    if (lost) this.#floor = this.#highest;
    this.#data = data;
    return lost;
  }

  of(zxid: bigint): number {
    const version = this.#floor + Number(zxid);
    this.#highest = Math.max(this.#highest, version);
    return version;
  }

  /** Null: it is of data that are gone. */
  zxidOf(version: number): bigint | null {
    return version > this.#floor ? BigInt(version - this.#floor) : null;
  }
}
