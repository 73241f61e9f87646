// @ts-check
import { el, number } from './dom.js';
import { term } from './terms.js';

/**
 * A timeline with a column for each session and the steps in the order in which they began. A step that waited is as
 * tall as the steps that happened in the meantime.
 *
 * @param {readonly any[]} entries in the form in which labs and races answer them
 * @param {{ label: string, sessions?: string[] }} options the order of the columns, if it matters
 * @returns {HTMLElement}
 */
export function timeline(entries, { label, sessions = [] }) {
  const parts = Map.groupBy(entries, ({ part }) => part ?? '');
  if (parts.size <= 1) return grid(entries, label, sessions);
  const figures = [...parts].map(([part, own]) =>
    el('div.part', {}, el('h4', {}, part), grid(own, `${label}: ${part}`)),
  );
  return el('div.parts', {}, ...figures);
}

/** @param {readonly any[]} entries @param {string} label @param {string[]} [order] */
function grid(entries, label, order = []) {
  const sessions = [...new Set([...order, ...entries.map(({ session }) => session)])];
  const start = entries[0]?.at_ms ?? 0;
  const heads = sessions.map((session, column) => {
    const own = pids(entries, session);
    const backend = own.length === 1 ? el('small', {}, `backend ${own[0]}`) : null;
    return place(el('div.head', { 'aria-hidden': 'true' }, el('b', {}, session), backend), column, 1);
  });
  const rows = rowsOf(entries);
  const steps = entries.map((entry, i) => {
    const step = stepOf(entry, start, moved(entries, i));
    return place(step, sessions.indexOf(entry.session), rows[i]?.from ?? 2, rows[i]?.span);
  });
  const last = Math.max(...rows.map(({ from, span }) => from + span));
  const lines = sessions.map((_, column) =>
    place(el('div.line', { 'aria-hidden': 'true' }), column, 2, last - 2),
  );
  const list = el('div.steps', { role: 'list' }, ...steps);
  const scroll = el(
    'div.timeline',
    { role: 'region', tabindex: '0', 'aria-label': label },
    ...lines,
    ...heads,
    list,
  );
  scroll.style.setProperty('--columns', String(sessions.length));
  return scroll;
}

/** @param {HTMLElement} element @param {number} column @param {number} row @param {number} [rows] */
function place(element, column, row, rows = 1) {
  element.style.gridArea = `${row} / ${column + 1} / span ${rows}`;
  return element;
}

/** Whether a session with several backends continues on another backend at this step. @param {readonly any[]} entries @param {number} i */
function moved(entries, i) {
  const { session, backend_pid: pid } = entries[i];
  if (pids(entries, session).length < 2) return false;
  const before = entries.findLast((one, j) => j < i && one.session === session && one.backend_pid);
  return before?.backend_pid !== pid;
}

/** @param {readonly any[]} entries @param {string} session */
const pids = (entries, session) => [
  ...new Set(
    entries.filter((one) => one.session === session && one.backend_pid).map((one) => one.backend_pid),
  ),
];

/** Rows of a step that did not wait: two, so that steps of other sessions can begin halfway down. */
const ROWS = 2;

/**
 * The position of each step: below the beginning of the step before it, and below the end of its session's last step. A
 * step that waited extends to where its wait ended.
 *
 * @param {readonly any[]} entries
 */
function rowsOf(entries) {
  /** @type {{ from: number, span: number }[]} */
  const rows = [];
  /** The last step of each session until now. @type {Map<string, number>} */
  const last = new Map();
  for (const [i, { session, at_ms: at }] of entries.entries()) {
    const own = rows[last.get(session) ?? -1];
    last.set(session, i);
    const from = Math.max((rows[i - 1]?.from ?? 1) + 1, own ? own.from + own.span : 0);
    for (const j of last.values()) {
      const row = rows[j];
      if (row && waits(entries[j], at)) row.span = Math.max(row.span, from + 1 - row.from);
    }
    rows.push({ from, span: ROWS });
  }
  return rows;
}

/** Whether the step was still waiting at that time. @param {any} entry @param {number} at */
const waits = ({ blocked_by: by, at_ms: begun, took_ms: took = 0 }, at) => Boolean(by) && at < begun + took;

/** @param {any} entry @param {number} start @param {boolean} withBackend whether to name it */
function stepOf(entry, start, withBackend) {
  const { sql, event, summary, session, at_ms: at, blocked_by: by, backend_pid: pid } = entry;
  const step = el(
    'div.step',
    { role: 'listitem' },
    el('span.sr', {}, `${session}: `),
    el('span.at', {}, `${(at - start).toFixed(1)} ms`),
    event || summary ? el('b', {}, event ?? summary) : null,
    sql ? el('code', {}, sql) : null,
    withBackend && pid ? el('small', {}, `backend ${pid}`) : null,
    by ? waiting(by, entry.blocked_ms) : null,
    failureOf(entry),
  );
  step.classList.toggle('blocked', Boolean(by));
  step.classList.toggle('failed', isFailed(entry));
  step.classList.toggle('event', event !== undefined);
  return step;
}

/** @param {readonly string[]} by @param {number} [ms] */
function waiting(by, ms) {
  const long = ms === undefined ? '' : ` ${number(Math.round(ms * 10) / 10)} ms`;
  return el('span.wait', {}, `waits${long} for ${by.join(', ')}`);
}

/** Whether it failed; a commit can also be answered with ROLLBACK. @param {any} entry */
const isFailed = ({ message, command }) => Boolean(message) || command === 'ROLLBACK';

/** How it failed, with the meaning of its code. @param {any} entry */
function failureOf(entry) {
  const { sqlstate, message } = entry;
  if (!isFailed(entry)) return null;
  if (sqlstate) return el('span.refused', { title: message }, 'refused: ', term(sqlstate));
  return el('span.refused', {}, message ? `failed: ${message}` : 'rolled back instead of committed');
}
