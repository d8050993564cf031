import { FINDINGS, type Finding, type FindingId } from "./finding.ts";

/**
 * Findings in the Static Analysis Results Interchange Format, which code hosts show beside the lines. Source: OASIS SARIF 2.1.0 (sections 3.13 sarifLog, 3.14
 * run, 3.27 result, 3.30 region). Lines and columns count from 1; a finding without a file has no location.
 */
export function sarif(findings: readonly Finding[], version: string): SarifLog {
  const ids = Object.keys(FINDINGS) as FindingId[];
  return {
    $schema: "https://json.schemastore.org/sarif-2.1.0.json",
    version: "2.1.0",
    runs: [
      {
        tool: {
          driver: {
            name: "weft check",
            semanticVersion: version,
            rules: ids.map((id) => ({
              id,
              shortDescription: { text: FINDINGS[id].title },
              defaultConfiguration: { level: FINDINGS[id].severity },
            })),
          },
        },
        columnKind: "utf16CodeUnits",
        results: findings.map(({ id, severity, place, message, suggestion, related }) => ({
          ruleId: id,
          ruleIndex: ids.indexOf(id),
          level: severity,
          message: { text: suggestion === "" ? message : `${message}; ${suggestion}` },
          ...locationsOf(place),
          ...(related.length > 0 && {
            relatedLocations: related.flatMap((other, i) =>
              (locationsOf(other.place).locations ?? []).map((location) => ({
                ...location,
                id: i + 1,
                message: { text: other.message },
              })),
            ),
          }),
        })),
      },
    ],
  };
}

function locationsOf({ file, line, column, field }: Finding["place"]): { locations?: SarifLocation[] } {
  if (file === undefined) return {};
  const region =
    line === undefined ? {} : { region: { startLine: line, ...(column !== undefined && { startColumn: column }) } };
  const logical =
    field === undefined || field === "" ? {} : { logicalLocations: [{ fullyQualifiedName: field, kind: "member" }] };
  return { locations: [{ physicalLocation: { artifactLocation: { uri: uriOf(file) }, ...region }, ...logical }] };
}

/** Relative paths stay relative, so that they are found in whatever checkout. */
function uriOf(file: string): string {
  const path = file.replaceAll("\\", "/").split("/").map(encodeURIComponent).join("/");
  return file.startsWith("/") ? `file://${path}` : path;
}

/** As much of the format as is written here. */
export interface SarifLog {
  readonly $schema: string;
  readonly version: "2.1.0";
  readonly runs: readonly {
    readonly tool: {
      readonly driver: {
        readonly name: string;
        readonly semanticVersion: string;
        readonly rules: readonly {
          readonly id: string;
          readonly shortDescription: { readonly text: string };
          readonly defaultConfiguration: { readonly level: SarifLevel };
        }[];
      };
    };
    readonly columnKind: "utf16CodeUnits";
    readonly results: readonly {
      readonly ruleId: string;
      readonly ruleIndex: number;
      readonly level: SarifLevel;
      readonly message: { readonly text: string };
      readonly locations?: readonly SarifLocation[];
      readonly relatedLocations?: readonly (SarifLocation & { readonly id: number })[];
    }[];
  }[];
}

type SarifLevel = "note" | "warning" | "error";

interface SarifLocation {
  readonly physicalLocation: {
    readonly artifactLocation: { readonly uri: string };
    readonly region?: { readonly startLine: number; readonly startColumn?: number };
  };
  readonly logicalLocations?: readonly { readonly fullyQualifiedName: string; readonly kind: string }[];
}
