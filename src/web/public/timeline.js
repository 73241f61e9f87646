// @ts-check
import { el, number } from './dom.js';
import { saying, shortened } from './statement.js';
import { term } from './terms.js';

/**
 * Who did what and when, a column for each session, in the order in which it was begun. A step that waited is as tall
 * as what happened meanwhile.
 *
 * @param {readonly any[]} entries as races and labs answer them
 * @param {{ label: string }} options
 * @returns {HTMLElement}
 */
export function timeline(entries, { label }) {
  const parts = Map.groupBy(entries, ({ part }) => part ?? '');
  if (parts.size <= 1) return grid(entries, label);
  const figures = [...parts].map(([part, own]) =>
    el('div.part', {}, el('h4', {}, part), grid(own, `${label}: ${part}`)),
  );
  return el('div.parts', {}, ...figures);
}

/** @param {readonly any[]} entries @param {string} label */
function grid(entries, label) {
  const sessions = [...new Set(entries.map(({ session }) => session))];
  const start = entries[0]?.at_ms ?? 0;
  const heads = sessions.map((session, column) => {
    const own = pids(entries, session);
    const backend = own.length === 1 ? el('small', {}, `backend ${own[0]}`) : null;
    return place(el('div.head', { 'aria-hidden': 'true' }, el('b', {}, session), backend), column, 1);
  });
  const steps = entries.map((entry, i) => {
    const column = sessions.indexOf(entry.session);
    const step = stepOf(entry, start, pids(entries, entry.session).length > 1);
    return place(step, column, i + 2, rowsOf(entries, i));
  });
  const lines = sessions.map((_, column) => place(el('div.line', { 'aria-hidden': 'true' }), column, 1, entries.length + 1));
  const list = el('div.steps', { role: 'list' }, ...steps);
  const scroll = el('div.timeline', { role: 'region', tabindex: '0', 'aria-label': label }, ...lines, ...heads, list);
  scroll.style.setProperty('--columns', String(sessions.length));
  return scroll;
}

/** @param {HTMLElement} element @param {number} column @param {number} row @param {number} [rows] */
function place(element, column, row, rows = 1) {
  element.style.gridArea = `${row} / ${column + 1} / span ${rows}`;
  return element;
}

/** @param {readonly any[]} entries @param {string} session */
const pids = (entries, session) => [
  ...new Set(entries.filter((one) => one.session === session && one.backend_pid).map((one) => one.backend_pid)),
];

/** How many rows a step takes: one that waited ends where it was let go, and before its session's next step. @param {readonly any[]} entries @param {number} i */
function rowsOf(entries, i) {
  const { session, at_ms: at, took_ms: took = 0, blocked_by: by } = entries[i];
  if (!by) return 1;
  let rows = 1;
  for (const later of entries.slice(i + 1)) {
    if (later.session === session || later.at_ms >= at + took) break;
    rows += 1;
  }
  return rows;
}

/** @param {any} entry @param {number} start @param {boolean} withBackend whether the session has several */
function stepOf(entry, start, withBackend) {
  const { sql, event, session, at_ms: at, blocked_by: by, backend_pid: pid } = entry;
  const words = event ?? saying(entry);
  const step = el(
    'div.step',
    { role: 'listitem' },
    el('span.sr', {}, `${session}: `),
    el('span.at', {}, `${(at - start).toFixed(1)}`, el('span.sr', {}, ' ms')),
    words ? el('b', {}, words) : null,
    sql ? el('code', {}, shortened(sql)) : null,
    withBackend && pid ? el('small', {}, `backend ${pid}`) : null,
    by ? waiting(by, entry.blocked_ms) : null,
    outcome(entry),
  );
  step.classList.toggle('blocked', Boolean(by));
  step.classList.toggle('failed', Boolean(entry.sqlstate ?? entry.error ?? (entry.command === 'ROLLBACK')));
  step.classList.toggle('event', event !== undefined);
  return step;
}

/** @param {readonly string[]} by @param {number} [ms] */
function waiting(by, ms) {
  const long = ms === undefined ? '' : ` ${number(Math.round(ms * 10) / 10)} ms`;
  return el('span.wait', {}, `waits${long} for ${by.join(', ')}`);
}

/** How it failed, with what the code means. @param {any} entry */
function outcome({ sqlstate, error, message }) {
  const code = sqlstate ?? error;
  if (!code) return null;
  return el('span.refused', { title: message }, 'refused: ', term(code));
}
