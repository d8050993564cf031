/** The value under a key, made when there is none. Of `most` values that are there, the one that was put in first makes room. */
export function kept<K, V>(values: Map<K, V>, key: K, most: number, make: () => V): V {
  let value = values.get(key);
  if (value === undefined) {
    makeRoom(values, most);
    values.set(key, (value = make()));
  }
  return value;
}

/** Takes out the value that was put in first when there are `most`, before another one is put in. */
export function makeRoom<K>(values: Map<K, unknown>, most: number): void {
  if (values.size >= most) values.delete(values.keys().next().value as K);
}
