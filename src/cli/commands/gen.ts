import { resolve } from "node:path";
import { generate } from "../gen/generate.ts";
import type { Terminal } from "../terminal.ts";

export interface GenFlags {
  proto?: string[];
  out: string;
  check: boolean;
  json: boolean;
}

export async function gen(dir: string, flags: GenFlags, terminal: Terminal): Promise<void> {
  const result = await generate({
    cwd: resolve(dir),
    roots: flags.proto ?? ["proto"],
    out: flags.out,
    check: flags.check,
  });
  if (flags.json) {
    terminal.out(`${JSON.stringify(result)}\n`);
    return;
  }
  const { green, dim } = terminal.color;
  for (const file of result.written) terminal.out(`${green("written")} ${flags.out}/${file}\n`);
  for (const file of result.removed) terminal.out(`${dim("removed")} ${flags.out}/${file}\n`);
  const same = result.files.length - result.written.length;
  if (result.written.length + result.removed.length === 0) terminal.out(`${same} files are up to date\n`);
}
