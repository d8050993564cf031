/**
 * Versions of endpoints: the transactions that wrote them, which grow. When ZooKeeper's data are lost, or somebody deletes them all, transactions may begin at 1 again: then what they are
 * added to is raised, so that versions go on where they were, and no version of the old data is taken for one of the new.
 */
export class ZookeeperVersions {
  #data: bigint | null = null;
  #floor = 0;
  #highest = 0;

  /** What is read from now on is of these data: when their folder was made, and by which transaction. */
  reading(data: { readonly ctime: bigint; readonly czxid: bigint }): void {
    const name = data.ctime * 4_294_967_296n + (data.czxid & 0xffff_ffffn);
    if (this.#data !== null && this.#data !== name) this.#floor = this.#highest;
    this.#data = name;
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
