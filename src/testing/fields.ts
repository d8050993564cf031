/** Of several values under one name, all, separated by ", ". */
export function recordOf(fields: readonly string[]): Record<string, string> {
  const record: Record<string, string> = {};
  for (let i = 0; i < fields.length; i += 2) {
    const name = fields[i].toLowerCase();
    record[name] = Object.hasOwn(record, name) ? `${record[name]}, ${fields[i + 1]}` : fields[i + 1];
  }
  return record;
}
