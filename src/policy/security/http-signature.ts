import type { CallRequest } from "../call.ts";

/** One signature of a request as its fields tell it (RFC 9421 section 4), not verified yet. */
export interface HttpSignature {
  readonly label: string;
  /** Covered components, as written: "@method", "content-digest". */
  readonly covers: readonly string[];
  /** The member of Signature-Input after its label: the value of "@signature-params". */
  readonly params: string;
  readonly keyId: string;
  readonly algorithm: string;
  readonly nonce: string;
  /** Epoch seconds; NaN when absent. */
  readonly created: number;
  readonly expires: number;
  readonly signature: Uint8Array;
}

/**
 * Reads Signature-Input and Signature. A subset of RFC 9421: components without parameters (no ;sf, ;bs, ;key, ;req), and "@query-param";name="...". A string says
 * what is wrong; null when there is no signature.
 */
export function parseSignatures(fields: readonly string[]): HttpSignature[] | string | null {
  const inputs = joined(fields, "signature-input");
  const values = joined(fields, "signature");
  if (inputs === null && values === null) return null;
  if (inputs === null || values === null) return "signature and signature-input belong together";
  if (inputs.length > MAX_FIELD || values.length > MAX_FIELD)
    return `its fields are longer than ${MAX_FIELD} characters`;
  const signatures = new Map<string, Uint8Array>();
  for (const [, label, base64] of values.matchAll(SIGNATURE)) signatures.set(label, Buffer.from(base64, "base64"));
  const found: HttpSignature[] = [];
  for (const [, label, params] of inputs.matchAll(INPUT)) {
    const signature = signatures.get(label);
    const parsed = signature === undefined ? null : parseParams(label, params, signature);
    if (parsed !== null) found.push(parsed);
    if (found.length >= MAX_SIGNATURES) break;
  }
  return found.length === 0 ? "its signature cannot be read" : found;
}

function parseParams(label: string, params: string, signature: Uint8Array): HttpSignature | null {
  const end = params.indexOf(")");
  const covers = [...params.slice(1, end).matchAll(COMPONENT)].map(([component]) => component);
  if (covers.join(" ") !== params.slice(1, end) || new Set(covers).size !== covers.length) return null;
  const values = new Map<string, string>();
  for (const [, name, text, number] of params.slice(end + 1).matchAll(PARAMETER)) {
    if (values.has(name)) return null;
    values.set(name, text ?? number);
  }
  return {
    label,
    covers: covers.map((component) => (component.includes(";") ? component : component.slice(1, -1))),
    params,
    keyId: values.get("keyid") ?? "",
    algorithm: values.get("alg") ?? "",
    nonce: values.get("nonce") ?? "",
    created: Number(values.get("created") ?? Number.NaN),
    expires: Number(values.get("expires") ?? Number.NaN),
    signature,
  };
}

/** What was signed (RFC 9421 section 2.5); null when a component that the signature covers is not in the request. */
export function signatureBase(request: CallRequest, { covers, params }: HttpSignature): string | null {
  let base = "";
  for (const component of covers) {
    const value = componentOf(request, component);
    if (value === null) return null;
    base += `${component.startsWith('"') ? component : `"${component}"`}: ${value}\n`;
  }
  return `${base}"@signature-params": ${params}`;
}

function componentOf(request: CallRequest, component: string): string | null {
  const mark = request.path.indexOf("?");
  const path = mark < 0 ? request.path : request.path.slice(0, mark);
  const scheme = request.scheme.toLowerCase();
  const authority = request.authority.toLowerCase().replace(scheme === "https" ? /:443$/ : /:80$/, "");
  switch (component) {
    case "@method":
      return request.method;
    case "@authority":
      return authority;
    case "@scheme":
      return scheme;
    case "@target-uri":
      return `${scheme}://${authority}${request.path}`;
    case "@request-target":
      return request.path;
    case "@path":
      return path === "" ? "/" : path;
    case "@query":
      return mark < 0 ? "?" : request.path.slice(mark);
    default:
      break;
  }
  const parameter = /^"@query-param";name="([^"]*)"$/.exec(component)?.[1];
  if (parameter !== undefined) {
    const name = decoded(parameter);
    if (name === null) return null;
    const values = new URLSearchParams(mark < 0 ? "" : request.path.slice(mark + 1)).getAll(name);
    return values.length === 1 ? encodeURIComponent(values[0]) : null;
  }
  return component.startsWith("@") || component.startsWith('"') ? null : joined(request.fields, component);
}

/** Null when it is not rightly encoded. */
function decoded(text: string): string | null {
  try {
    return decodeURIComponent(text);
  } catch {
    return null;
  }
}

/** All values of a field, as one (RFC 9421 section 2.1). */
function joined(fields: readonly string[], name: string): string | null {
  let value: string | null = null;
  for (let i = 0; i < fields.length; i += 2) {
    if (fields[i] === name) value = value === null ? fields[i + 1].trim() : `${value}, ${fields[i + 1].trim()}`;
  }
  return value;
}

const MAX_FIELD = 4_096;
const MAX_SIGNATURES = 4;
const SIGNATURE = /(?:^|, *)([a-z*][a-z0-9_.*-]*)=:([A-Za-z0-9+/]+={0,2}):/g;
/** label=("a" "b");name=value... */
const INPUT =
  /(?:^|, *)([a-z*][a-z0-9_.*-]*)=(\((?:"[^"\\()]*"(?:;name="[^"\\()]*")?(?: (?="))?)*\)(?:;[a-z]+=(?:"[^"\\]*"|\d+))*)/g;
const COMPONENT = /"[^"]*"(?:;name="[^"]*")?/g;
const PARAMETER = /;([a-z]+)=(?:"([^"]*)"|(\d+))/g;
