import { type CompiledRule, ruleMatches } from "./authorization-rule.ts";
import type { RuleInput } from "./rule-input.ts";

/**
 * Rules of one action: which of them is the first that matches? Many rules that name their peers without "*" are found by the peer, so that the cost does not grow
 * with the number of callers.
 */
export class RuleSet {
  readonly rules: readonly CompiledRule[];
  readonly #byPeer: ReadonlyMap<string, readonly number[]> | null;
  readonly #rest: readonly number[];

  constructor(rules: readonly CompiledRule[]) {
    this.rules = rules;
    const byPeer = new Map<string, number[]>();
    const rest: number[] = [];
    rules.forEach(({ exactPeers }, at) => {
      if (exactPeers === null || rules.length < INDEXED) rest.push(at);
      else for (const peer of new Set(exactPeers)) byPeer.set(peer, [...(byPeer.get(peer) ?? []), at]);
    });
    this.#byPeer = byPeer.size === 0 ? null : byPeer;
    this.#rest = rest;
  }

  /** Null: none. */
  firstMatch(input: RuleInput): CompiledRule | null {
    const found = this.#firstOf(this.#rest, input);
    if (this.#byPeer === null) return found < 0 ? null : this.rules[found];
    const ofPeer = this.#firstOf(this.#byPeer.get(input.caller.peerIdentity) ?? NONE, input);
    if (found < 0 && ofPeer < 0) return null;
    return this.rules[found < 0 ? ofPeer : ofPeer < 0 ? found : Math.min(found, ofPeer)];
  }

  /** Whether any matches, in their order. */
  *matches(input: RuleInput): Generator<CompiledRule> {
    for (const rule of this.rules) if (ruleMatches(rule, input)) yield rule;
  }

  #firstOf(order: readonly number[], input: RuleInput): number {
    for (let i = 0; i < order.length; i++) if (ruleMatches(this.rules[order[i]], input)) return order[i];
    return -1;
  }
}

/** From so many rules on. */
const INDEXED = 16;
const NONE: readonly number[] = [];
