/** What was made, once `ready` resolves; it is closed when that rejects. */
export async function openOrClose<T extends { close(): Promise<unknown> }>(
  made: T,
  ready: (made: T) => Promise<unknown>,
): Promise<T> {
  try {
    await ready(made);
    return made;
  } catch (thrown) {
    await made.close();
    throw thrown;
  }
}
