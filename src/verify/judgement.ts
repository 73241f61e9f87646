import { progress } from '../command-line/progress.ts';
import { codeOf, messageOf } from '../errors/caught.ts';

/** Whether a claim holds on a database. */
export interface Judgement {
  /** null: the database was too slow to tell. */
  holds: boolean | null;
  /** The result in a few words: "exact", "lost 12 of 20 (expected)", "not supported: …", "inconclusive: …". */
  verdict: string;
}

/** A claim that can be judged, and what is reported along with the judgement. */
export interface Claimed<T> {
  title: string;
  about: T;
  judge: () => Promise<Judgement>;
}

/** The engine lacks a feature: feature_not_supported, syntax_error, undefined_function, undefined_object. */
const NOT_SUPPORTED = new Set(['0A000', '42601', '42883', '42704']);

/**
 * Judges one claim after another. If judging throws, the error becomes the judgement.
 *
 * @throws the signal's reason when it is aborted
 */
export async function judgeAll<T>(
  all: readonly Claimed<T>[],
  signal: AbortSignal,
): Promise<(T & Judgement)[]> {
  const judged: (T & Judgement)[] = [];
  for (const { title, about, judge } of all) {
    signal.throwIfAborted();
    progress(title, judged.length, all.length);
    const judgement = await judge().catch((error: unknown) => {
      signal.throwIfAborted();
      return failed(error);
    });
    judged.push({ ...about, ...judgement });
  }
  return judged;
}

/** A missing feature does not break a claim, and a timeout is inconclusive; any other failure breaks the claim. */
function failed(error: unknown): Judgement {
  if (error instanceof DOMException && error.name === 'TimeoutError')
    return { holds: null, verdict: 'inconclusive: too slow to tell' };
  const cause = error instanceof Error && error.cause !== undefined ? error.cause : error;
  const supported = !NOT_SUPPORTED.has(codeOf(error) ?? codeOf(cause) ?? '');
  const why = messageOf(supported ? error : cause).split('\n')[0];
  return { holds: !supported, verdict: `${supported ? 'failed' : 'not supported'}: ${why}` };
}

/** Whether all claims hold: false if one does not, otherwise null if one is inconclusive. */
export function allHold(judged: readonly Pick<Judgement, 'holds'>[]): boolean | null {
  if (judged.some(({ holds }) => holds === false)) return false;
  return judged.some(({ holds }) => holds === null) ? null : true;
}
