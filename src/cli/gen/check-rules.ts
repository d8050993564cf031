import { WeftError } from "../../core/errors.ts";
import { httpBindings } from "../../contract/http-rule.ts";
import { createRestRouter, type RestRoute } from "../../contract/rest-router.ts";
import { createFileRegistry, type DescFile, type DescMethod, type SourceCodeInfo_Location } from "../../contract/runtime.ts";
import type { Compiled, Problem } from "./compile.ts";

/** Problems of the google.api.http rules of the project's own methods, each with the line of its annotation. */
export function checkRules(compiled: Compiled): Problem[] {
  if (compiled.problems.length > 0) return [];
  const problems: Problem[] = [];
  const routes: RestRoute<DescMethod>[] = [];
  const registry = createFileRegistry(compiled.descriptors);
  for (const name of compiled.own) {
    const file = registry.getFile(name);
    for (const service of file?.services ?? []) {
      for (const method of service.methods) {
        try {
          for (const binding of httpBindings(method)) routes.push({ binding, target: method });
        } catch (thrown) {
          problems.push(problemOf(thrown, method, compiled));
        }
      }
    }
  }
  problems.push(...conflicts(routes, compiled));
  return problems;
}

/** Adds one route at a time, so that each conflict is told of, not only the first. */
function conflicts(routes: readonly RestRoute<DescMethod>[], compiled: Compiled): Problem[] {
  const problems: Problem[] = [];
  const byKey = new Map<string, RestRoute<DescMethod>>();
  for (const route of routes) {
    const { template, httpMethod } = route.binding;
    const shape = template.segments.map((segment) => (segment.kind === "literal" ? segment.text : segment.kind === "one" ? "*" : "**"));
    const key = `${httpMethod} ${shape.join("/")}:${template.verb}`;
    const other = byKey.get(key);
    if (other === undefined) byKey.set(key, route);
    else {
      try {
        createRestRouter([other, route]);
      } catch (thrown) {
        problems.push(problemOf(thrown, route.target, compiled));
      }
    }
  }
  return problems;
}

function problemOf(thrown: unknown, method: DescMethod, compiled: Compiled): Problem {
  if (!(thrown instanceof WeftError)) throw thrown;
  const file = method.parent.file;
  const location = locationOf(file, method);
  const place = location === undefined ? {} : { line: location.span[0] + 1, column: location.span[1] + 1 };
  return { place: { file: compiled.paths.get(`${file.name}.proto`) ?? `${file.name}.proto`, ...place }, message: thrown.message };
}

/** Where the method's google.api.http option stands; else the method. Paths are those of descriptor.proto: service 6, method 2, options 4. */
function locationOf(file: DescFile, method: DescMethod): SourceCodeInfo_Location | undefined {
  const service = file.proto.service.indexOf(method.parent.proto);
  const path = [6, service, 2, method.parent.proto.method.indexOf(method.proto)];
  const locations = file.proto.sourceCodeInfo?.location ?? [];
  const starts = (location: SourceCodeInfo_Location, prefix: readonly number[]) => prefix.every((part, index) => location.path[index] === part);
  return (
    locations.find((location) => starts(location, [...path, 4, HTTP_OPTION])) ??
    locations.find((location) => location.path.length === path.length && starts(location, path))
  );
}

const HTTP_OPTION = 72295728;
