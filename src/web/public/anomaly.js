// @ts-check

/**
 * What the claim of a schedule says: "P4, lost update: what it is: where it is possible". The other experiments of the
 * isolation lab claim something else.
 *
 * @param {string} claim
 */
export function anomalyOf(claim) {
  const [, title, meaning] =
    /^([^:]+): (.+): (?:prevented at every level|possible at .+)\.$/.exec(claim) ?? [];
  if (!title || !meaning) return undefined;
  const [, code = '', name = title] = /^([A-Z][\w-]*), (.+)$/.exec(title) ?? [];
  return { code, name: capital(name), meaning: `${capital(meaning)}.` };
}

/** @param {string} text */
export const capital = (text) => text.charAt(0).toUpperCase() + text.slice(1);
