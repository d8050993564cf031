import { type Claims, claimOf } from "../machine/principal.ts";
import type { ClaimMatch } from "./authentication-resource.ts";

/** Strict: "1" is not 1. A list equals nothing, but may contain. */
export function matchesClaim(claims: Claims, match: ClaimMatch): boolean {
  const value = claimOf(claims, match.claim);
  if (match.exists !== undefined) return (value !== undefined) === match.exists;
  if (match.equals !== undefined) return value === match.equals;
  if (match.in !== undefined) return match.in.includes(value as string);
  if (Array.isArray(value)) return value.includes(match.contains);
  return typeof value === "string" && typeof match.contains === "string" && value.split(" ").includes(match.contains);
}

/** "role = buyer", for explanations. */
export function claimMatchText(match: ClaimMatch): string {
  const { claim } = match;
  if (match.exists !== undefined) return `${claim} ${match.exists ? "is there" : "is not there"}`;
  if (match.equals !== undefined) return `${claim} = ${String(match.equals)}`;
  if (match.in !== undefined) return `${claim} is ${match.in.join(" or ")}`;
  return `${claim} has ${String(match.contains)}`;
}

/** A claim's value for people, short. */
export function claimText(value: unknown): string {
  const words = Array.isArray(value) && value.every((one) => typeof one === "string");
  const text = typeof value === "string" ? value : words ? value.join(" ") : (JSON.stringify(value) ?? "absent");
  return text.length > 64 ? `${text.slice(0, 61)}...` : text;
}

/**
 * A claim as the value of a header field: lists joined with commas, objects as JSON; what a field cannot hold is percent-encoded (RFC 3986). Null when
 * there is nothing to send.
 */
export function claimField(value: unknown): string | null {
  if (value === undefined || value === null) return null;
  const plain = Array.isArray(value) && value.every((one) => typeof one !== "object");
  const text = plain ? value.join(",") : typeof value === "object" ? JSON.stringify(value) : String(value);
  if (text.length > MAX_FIELD) return null;
  return text.replace(/[^\x20-\x7e]|^ | $/gu, (char) => encodeURIComponent(char.isWellFormed() ? char : "\ufffd"));
}

const MAX_FIELD = 4_096;
