/** What a policy is attached to, from least to most specific. */
export const Level = { system: 0, gateway: 1, service: 2, method: 3, route: 4, rule: 5 } as const;
export type Level = (typeof Level)[keyof typeof Level];
