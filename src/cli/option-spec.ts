/** An option of a command as data, for who reads well-formed arguments without the command line's parser. */
export interface OptionSpec {
  /** "--app-protocol <protocol>": one value each. */
  readonly flags: string;
  readonly about: string;
  /** Throws when the text is none. Default: the text itself. */
  readonly parse?: (text: string) => unknown;
  readonly choices?: readonly string[];
  /** The variable that says it where the arguments do not. */
  readonly env?: string;
  readonly required?: true;
  readonly default?: unknown;
  /** What help says of the default, instead of the value. */
  readonly defaultText?: string;
}

/**
 * The options' values by name ("appProtocol"); null when anything is not plainly `--name value`, missing or wrong: the parser says what, or prints help.
 */
export function readOptions(
  specs: readonly OptionSpec[],
  args: readonly string[],
  env: NodeJS.ProcessEnv,
): Record<string, unknown> | null {
  const given = new Map<string, string>();
  for (let i = 0; i < args.length; i += 2) {
    const value = args[i + 1];
    if (value === undefined || value.startsWith("-") || given.has(args[i])) return null;
    given.set(args[i], value);
  }
  const values: Record<string, unknown> = {};
  for (const spec of specs) {
    const name = spec.flags.split(" ", 1)[0];
    const text = given.get(name) ?? (spec.env === undefined ? undefined : env[spec.env]);
    given.delete(name);
    if (text === undefined && spec.required) return null;
    if (text !== undefined && spec.choices?.includes(text) === false) return null;
    const key = name.slice(2).replace(/-(.)/g, (_, first: string) => first.toUpperCase());
    try {
      const value = text === undefined ? spec.default : (spec.parse?.(text) ?? text);
      if (value !== undefined) values[key] = value;
    } catch {
      return null;
    }
  }
  return given.size === 0 ? values : null;
}
