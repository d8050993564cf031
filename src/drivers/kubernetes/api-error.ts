import { type Code, WeftError } from "../../core/errors.ts";
import { printable } from "../../core/printable.ts";
import type { ApiResource } from "./api-resource.ts";

/** What was asked, for messages. */
export interface Asked {
  /** As a Role names it: get list watch create update delete. */
  readonly verb: string;
  readonly resource: ApiResource;
  readonly namespace: string;
}

/**
 * What an API server's refusal means. `reason`: FORBIDDEN names the verb and the resource that the Role lacks; CONFLICT, ALREADY_EXISTS, GONE and NO_SUCH_OBJECT are what callers go by. Only those with `retryable`
 * were surely not carried out.
 */
export function apiError(status: number, answer: unknown, asked: Asked): WeftError {
  const { verb, resource, namespace } = asked;
  const said = messageOf(answer);
  const what = `${resource.plural}${resource.group === "" ? "" : `.${resource.group}`} in namespace "${namespace}"`;
  const make = (code: Code, reason: string, text: string, retryable = false): WeftError =>
    new WeftError(code, text, { reason, retryable });
  if (status === 401)
    return make(
      "unauthenticated",
      "KUBERNETES_LOGIN_REFUSED",
      "Kubernetes does not know who asks: the token or client certificate is missing, wrong or has run out",
    );
  if (status === 403)
    return isTerminating(answer)
      ? make("failed_precondition", "NAMESPACE_TERMINATING", `namespace "${namespace}" is being deleted`)
      : make(
          "permission_denied",
          "FORBIDDEN",
          `Kubernetes refuses to ${verb} ${what}: the Role lacks the verb "${verb}" on "${resource.plural}" of the API group "${resource.group}" (docs/kubernetes.md has the whole Role)${said}`,
        );
  if (status === 404 && isAbout(answer, "namespaces"))
    return make(
      "failed_precondition",
      "NO_NAMESPACE",
      `there is no namespace "${namespace}": create it with \`kubectl create namespace ${namespace}\``,
    );
  if (status === 404) return make("not_found", "NO_SUCH_OBJECT", `Kubernetes has none of it: ${verb} ${what}${said}`);
  if (status === 409)
    return reasonOf(answer) === "AlreadyExists"
      ? make("already_exists", "ALREADY_EXISTS", `it is there already: ${verb} ${what}`)
      : make("aborted", "CONFLICT", `it was changed meanwhile: ${verb} ${what}`);
  if (status === 410) return make("out_of_range", "GONE", `Kubernetes has forgotten changes of ${what} since`);
  if (status === 413) return make("resource_exhausted", "TOO_LARGE", `too large for Kubernetes: ${verb} ${what}`);
  if (status === 400 || status === 422)
    return new WeftError("invalid_argument", `Kubernetes refuses to ${verb} ${what}${said}`, {
      reason: "INVALID_OBJECT",
      place: { field: causeOf(answer) },
    });
  if (status === 429) return make("unavailable", "KUBERNETES_BUSY", "Kubernetes takes no more for now", true);
  const text = `Kubernetes answers ${status} to ${verb} ${what}${said}`;
  return make(status >= 500 ? "unavailable" : "internal", "KUBERNETES_FAILED", text);
}

/** What it says itself, short: it was written elsewhere. */
function messageOf(answer: unknown): string {
  const message = fieldOf(answer, "message");
  return typeof message === "string" && message !== "" ? `: ${printable(message, 300)}` : "";
}

function reasonOf(answer: unknown): unknown {
  return fieldOf(answer, "reason");
}

function isAbout(answer: unknown, kind: string): boolean {
  return fieldOf(fieldOf(answer, "details"), "kind") === kind;
}

/** The first field that is wrong; "": it is not said. */
function causeOf(answer: unknown): string {
  const causes = fieldOf(fieldOf(answer, "details"), "causes");
  const field = Array.isArray(causes) ? fieldOf(causes[0], "field") : undefined;
  return typeof field === "string" ? printable(field, 200) : "";
}

function isTerminating(answer: unknown): boolean {
  const causes = fieldOf(fieldOf(answer, "details"), "causes");
  return Array.isArray(causes) && causes.some((cause) => fieldOf(cause, "reason") === "NamespaceTerminating");
}

function fieldOf(value: unknown, name: string): unknown {
  return typeof value === "object" && value !== null ? (value as Record<string, unknown>)[name] : undefined;
}
