import { posix } from "node:path";

/**
 * Points the imports of one generated file at what weft offers: the protobuf runtime, and the contracts that come with weft, are
 * taken from `runtime`; other generated files lose their `_pb`.
 *
 * @param path the file's own path within the output, "counter/v1/counter.ts"
 * @param runtime a package specifier, or a path relative to the output that starts with "."
 * @param own names of the .proto files that are generated along
 */
export function rewriteImports(source: string, path: string, runtime: string, own: ReadonlySet<string>): string {
  const folder = posix.dirname(path);
  const runtimeFrom = runtime.startsWith(".") ? relativeSpecifier(folder, posix.normalize(runtime)) : runtime;
  return source.replace(/^((?:import|export) .*? from )"([^"]+)";$/gm, (line, head: string, from: string) => {
    if (from === "@bufbuild/protobuf" || from.startsWith("@bufbuild/protobuf/")) return `${head}"${runtimeFrom}";`;
    if (!from.startsWith(".")) return line;
    const target = posix.join(folder, from).replace(/_pb\.ts$/, "");
    return own.has(`${target}.proto`) ? `${head}"${from.replace(/_pb\.ts$/, ".ts")}";` : `${head}"${runtimeFrom}";`;
  });
}

function relativeSpecifier(folder: string, path: string): string {
  const specifier = posix.relative(folder, path);
  return specifier.startsWith(".") ? specifier : `./${specifier}`;
}
