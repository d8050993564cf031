/** "1 call", "2 calls", "1 retry", "0 retries". */
export function counted(count: number, one: string, many = `${one}s`): string {
  return `${count} ${count === 1 ? one : many}`;
}
