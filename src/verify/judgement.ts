import { progress } from '../command-line/progress.ts';
import { codeOf, messageOf } from '../errors/caught.ts';

/** Whether a claim holds on a database. */
export interface Judgement {
  /** null: there was not time enough to tell. */
  holds: boolean | null;
  /** In a few words: "exact", "loses 12 of 20", "not supported: …", "inconclusive: …". */
  verdict: string;
}

/** A claim that can be judged, and what is said about it beside the judgement. */
export interface Claimed<T> {
  title: string;
  about: T;
  judge: () => Promise<Judgement>;
}

/** What an engine does not know: feature_not_supported, syntax_error, undefined_function, undefined_object. */
const NOT_SUPPORTED = new Set(['0A000', '42601', '42883', '42704']);

/**
 * Judges one claim after another. One that fails is judged by its error.
 *
 * @throws the signal's reason
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

/** What an engine cannot run makes no claim there, and time that ran out tells nothing; any other failure breaks the claim. */
function failed(error: unknown): Judgement {
  if (error instanceof DOMException && error.name === 'TimeoutError')
    return { holds: null, verdict: 'inconclusive: too slow to tell' };
  const cause = error instanceof Error && error.cause !== undefined ? error.cause : error;
  const supported = !NOT_SUPPORTED.has(codeOf(error) ?? codeOf(cause) ?? '');
  const why = messageOf(supported ? error : cause).split('\n')[0];
  return { holds: !supported, verdict: `${supported ? 'failed' : 'not supported'}: ${why}` };
}

/** Whether all of them hold: false when one does not, null when that could not be told of one. */
export function allHold(judged: readonly Pick<Judgement, 'holds'>[]): boolean | null {
  if (judged.some(({ holds }) => holds === false)) return false;
  return judged.some(({ holds }) => holds === null) ? null : true;
}
