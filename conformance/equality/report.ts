import { stringify } from "yaml";
import type { Difference } from "./compare.ts";
import type { EqualityCase, Observation } from "./model.ts";

/** A case as people read it: resources as YAML, the request with what its backends do, and what each place did. */
export function describeCase({ scope, resources, requests }: EqualityCase, differences: readonly Difference[]): string {
  const lines = [`scope: ${scope}`, "", resources.map((resource) => stringify(resource).trimEnd()).join("\n---\n"), ""];
  const differing = new Set(differences.map(({ request }) => request));
  for (const index of requests.keys()) {
    const { kind, method, path, host, headers, script, body, token } = requests[index];
    lines.push(`request: ${kind} ${method} ${host}${path}`);
    for (const [name, value] of headers) lines.push(`  ${name}: ${value}`);
    if (token !== undefined) lines.push(`  the token of ${token}`);
    if (body !== undefined) lines.push(`  a body of ${body} bytes`);
    lines.push(`  backends: ${script.map((step) => JSON.stringify(step)).join(", then ")}`, "");
    if (!differing.has(index)) continue;
    const about = differences.filter(({ request }) => request === index);
    for (const { place, aspects, expected, found } of about) {
      lines.push(`  ${"".padEnd(12)} | ${"gateway".padEnd(44)} | ${place}`);
      for (const aspect of Object.keys(expected) as (keyof Observation)[]) {
        const mark = aspects.includes(aspect) ? ">" : " ";
        lines.push(`${mark} ${aspect.padEnd(12)} | ${shown(expected[aspect]).padEnd(44)} | ${shown(found[aspect])}`);
      }
      lines.push("");
    }
  }
  return lines.join("\n");
}

function shown(value: Observation[keyof Observation]): string {
  return Array.isArray(value) ? value.join(" / ") : String(value);
}
