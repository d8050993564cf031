import type { DataPlane, MeshEdge, MeshNode, Topology } from "../../contract/gen/weft/control/v1/mesh.ts";
import { formatMs } from "../../host/format-ms.ts";
import { type Cell, type Column, formatColumns } from "../columns.ts";
import { type Style, sanitize } from "../terminal.ts";

/**
 * The topology for people: what is wrong, who calls whom, services, data planes. Red is what fails, yellow what is not as it should be.
 *
 *     revision 12   4 services   6 data planes, 6 enforce it
 */
export function renderMesh(topology: Topology, nowMs: number, style: Style): string[] {
  const { problems, edges, nodes, planes, revision } = topology;
  const services = nodes.filter(({ kind }) => kind === "service");
  const blocks = [
    [headline(topology, services.length, style)],
    table(
      [],
      problems.map((problem) => problemRow(problem, style)),
      style,
    ),
    table(
      EDGES,
      edges.map((edge) => edgeRow(edge, style)),
      style,
    ),
    table(
      SERVICES,
      services.flatMap((node) => serviceRows(node, style)),
      style,
    ),
    table(
      PLANES,
      planes.map((plane) => planeRow(plane, revision, nowMs, style)),
      style,
    ),
  ];
  return blocks.filter((block) => block.length > 0).flatMap((block, i) => (i === 0 ? block : ["", ...block]));
}

function headline({ revision, planes, problems }: Topology, services: number, style: Style): string {
  const enforcing = planes.filter((plane) => inForce(plane) >= revision).length;
  const good = enforcing === planes.length;
  const ofPlanes = `${count(planes.length, "data plane")}, ${enforcing} ${enforcing === 1 ? "enforces" : "enforce"} it`;
  const wrong = problems.length === 0 ? style.green("nothing is wrong") : style.red(`${problems.length} wrong`);
  return [
    style.bold(`revision ${revision}`),
    good ? ofPlanes : style.yellow(ofPlanes),
    count(services, "service"),
    wrong,
  ].join("   ");
}

/** What is known best of what a data plane decides by: a gRPC client cannot be probed. */
function inForce({ kind, acknowledged, enforced }: DataPlane): bigint {
  return kind === "grpc" ? acknowledged : enforced;
}

function table(columns: readonly Column[], rows: readonly (readonly Cell[])[], style: Style): string[] {
  if (rows.length === 0) return [];
  if (columns.length > 0) return formatColumns(columns, rows, style.dim);
  const untitled = rows[0].map(() => ({ title: "" }));
  return formatColumns(untitled, rows, style.dim).slice(1);
}

function problemRow({ kind, subject, message }: Topology["problems"][number], style: Style): Cell[] {
  const paint = SEVERE.has(kind) ? style.red : style.yellow;
  return [{ text: kind, style: paint }, { text: clean(subject), style: style.bold }, { text: clean(message) }];
}

const SEVERE: ReadonlySet<string> = new Set(["refused", "unhealthy", "errors"]);

const EDGES: readonly Column[] = [
  { title: "FROM" },
  { title: "TO" },
  { title: "VERSION" },
  { title: "SHARE", align: "right" },
  { title: "CALLS/S", align: "right" },
  { title: "ERRORS", align: "right" },
  { title: "ATTEMPTS", align: "right" },
  { title: "P50", align: "right" },
  { title: "P99", align: "right" },
  { title: "MTLS", align: "right" },
];

function edgeRow(edge: MeshEdge, style: Style): Cell[] {
  const { from, to, version, callsPerSecond, errorRatio, attemptsPerCall, secureRatio, p50Ms, p99Ms, share } = edge;
  const quiet = callsPerSecond === 0;
  const whenCalled = (text: string): string => (quiet ? "" : text);
  // What comes from outside has no identity of the mesh's, and is answered by the gateway itself.
  const inMesh = from !== "outside";
  return [
    { text: clean(from) },
    { text: clean(to), style: style.bold },
    { text: clean(version) },
    { text: share === 0 || share === 1 ? "" : percent(share) },
    { text: quiet ? "-" : rate(callsPerSecond), style: quiet ? style.dim : undefined },
    {
      text: whenCalled(errorRatio === 0 ? "0" : percent(errorRatio)),
      style: errorRatio >= 0.05 ? style.red : errorRatio === 0 ? style.dim : style.yellow,
    },
    {
      text: whenCalled(inMesh ? attemptsPerCall.toFixed(2) : ""),
      style: attemptsPerCall > 1.005 ? style.yellow : style.dim,
    },
    { text: latency(p50Ms) },
    { text: latency(p99Ms) },
    {
      text: whenCalled(inMesh ? percent(secureRatio) : ""),
      style: secureRatio === 1 ? style.green : secureRatio === 0 ? style.dim : style.yellow,
    },
  ];
}

const SERVICES: readonly Column[] = [
  { title: "SERVICE" },
  { title: "VERSION" },
  { title: "HEALTHY", align: "right" },
  { title: "IDENTITY", align: "right" },
  { title: "MTLS" },
];

function serviceRows({ name, versions, mtls }: MeshNode, style: Style): Cell[][] {
  const known = versions.length === 0 ? [{ version: "", endpoints: 0, healthy: 0, identified: 0 }] : versions;
  return known.map(({ version, endpoints, healthy, identified }, i) => [
    { text: i === 0 ? clean(name) : "", style: style.bold },
    { text: clean(version) },
    {
      text: `${healthy}/${endpoints}`,
      style: healthy === 0 ? style.red : healthy < endpoints ? style.yellow : undefined,
    },
    { text: `${identified}/${endpoints}`, style: identified < endpoints ? style.yellow : undefined },
    { text: i === 0 ? mtls : "", style: mtls === "strict" ? style.green : undefined },
  ]);
}

const PLANES: readonly Column[] = [
  { title: "DATA PLANE" },
  { title: "KIND" },
  { title: "SERVICE" },
  { title: "SENT", align: "right" },
  { title: "ACKNOWLEDGED", align: "right" },
  { title: "ENFORCED", align: "right" },
  { title: "ATTACHED", align: "right" },
  { title: "ADDRESS" },
];

function planeRow(plane: DataPlane, newest: bigint, nowMs: number, style: Style): Cell[] {
  const { process, kind, service, sent, acknowledged, enforced, attachedMs, address, refusals } = plane;
  const revision = (value: bigint): Cell => ({
    text: value === 0n ? "-" : String(value),
    style: value >= newest ? undefined : refusals.length > 0 ? style.red : style.yellow,
  });
  return [
    { text: clean(process).split("/", 1)[0], style: style.bold },
    { text: kind },
    { text: clean(service) },
    revision(sent),
    revision(acknowledged),
    kind === "grpc" ? { text: "" } : revision(enforced),
    { text: formatMs(Math.max(0, nowMs - Number(attachedMs))), style: style.dim },
    { text: clean(address), style: style.dim },
  ];
}

function rate(perSecond: number): string {
  return perSecond >= 10 ? perSecond.toFixed(0) : perSecond.toFixed(1);
}

function latency(ms: number): string {
  if (ms === 0) return "";
  return ms < 10 ? `${ms.toFixed(1)} ms` : formatMs(ms);
}

/** Never "100 %" of what is less, nor "0 %" of what is more. */
function percent(ratio: number): string {
  const value = 100 * ratio;
  if (value > 0 && value < 1) return `${Math.max(0.1, value).toFixed(1)} %`;
  if (value > 99 && value < 100) return `${Math.min(99.9, value).toFixed(1)} %`;
  return `${Math.round(value)} %`;
}

function count(number: number, noun: string): string {
  return `${number} ${noun}${number === 1 ? "" : "s"}`;
}

function clean(text: string): string {
  return sanitize(text, false).replaceAll("\n", " ");
}
