/** Why an attempt was made: as the first, after another failed, beside another, or at the stand-by service. */
export const AttemptKind = { first: 0, retry: 1, hedge: 2, standby: 3 } as const;
export type AttemptKind = (typeof AttemptKind)[keyof typeof AttemptKind];
