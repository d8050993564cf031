/** Of several values under one name, all, separated by ", ". */
export function recordOf(fields: readonly string[]): Record<string, string> {
  const record: Record<string, string> = {};
  for (let i = 0; i < fields.length; i += 2) {
    const name = fields[i].toLowerCase();
    record[name] = Object.hasOwn(record, name) ? `${record[name]}, ${fields[i + 1]}` : fields[i + 1];
  }
  return record;
}

/** Flat fields with some taken out and others put in. */
export function changed(
  fields: readonly string[],
  add: readonly string[] | null,
  remove: readonly string[] | null,
): readonly string[] {
  const result: string[] = [];
  for (let i = 0; i < fields.length; i += 2) {
    if (remove === null || !remove.includes(fields[i])) result.push(fields[i], fields[i + 1]);
  }
  if (add !== null) result.push(...add);
  return result;
}
