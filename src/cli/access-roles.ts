/** Roles as people write them, and as messages have them (AccessRole). */
export const ROLE_NUMBERS: Readonly<Record<string, number>> = { none: 0, reader: 1, publisher: 2, operator: 3 };
