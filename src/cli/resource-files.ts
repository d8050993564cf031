import { readdirSync, readFileSync, statSync } from "node:fs";
import { join } from "node:path";
import { WeftError } from "../core/errors.ts";
import { shownPath } from "../host/load-system.ts";
import { readResourceDocuments } from "../policy/resource/read-resource-documents.ts";
import { ResourceDocument } from "../policy/resource/resource-document.ts";

/** The resources in files, and in the *.yaml, *.yml and *.json files of folders; arrays count as their elements. Throws `not_found`, or the first syntax error. */
export function readResourceFiles(paths: readonly string[]): ResourceDocument[] {
  return paths
    .flatMap(filesOf)
    .flatMap((file) =>
      readResourceDocuments(readFileSync(file, "utf8"), shownPath(file)).flatMap((document) =>
        Array.isArray(document.value)
          ? document.value.map(
              (item, index) => new ResourceDocument(item, (path) => document.placeOf([index, ...path])),
            )
          : [document],
      ),
    );
}

function filesOf(path: string): string[] {
  const stat = statSync(path, { throwIfNoEntry: false });
  if (stat === undefined)
    throw new WeftError("not_found", `${shownPath(path)}: there is no such file or folder`, { reason: "NO_FILE" });
  if (!stat.isDirectory()) return [path];
  return readdirSync(path)
    .filter((name) => /\.(ya?ml|json)$/.test(name))
    .sort()
    .map((name) => join(path, name));
}
