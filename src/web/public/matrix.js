// @ts-check
import { anomalyOf } from './anomaly.js';
import { get, post } from './api.js';
import { el, fill, id } from './dom.js';
import { whenNear } from './figures.js';
import { explained, term } from './terms.js';
import { timeline } from './timeline.js';

const LEVELS = ['read uncommitted', 'read committed', 'repeatable read', 'serializable'];

/** Shown to begin with: the one that the page is about. */
const FIRST = { experiment: 'p4-lost-update', level: 'read committed' };

/** Beside the table where there is room, else below the row that was pressed. */
const wide = matchMedia('(min-width: 1100px)');

/** The levels × the anomalies; tried when they come into view, which takes a second or two. */
export async function openMatrix() {
  const lab = (await get('/labs')).find((/** @type {any} */ one) => one.lab === 'isolation');
  const anomalies = lab.experiments.flatMap((/** @type {any} */ { experiment, claim }) => {
    const anomaly = anomalyOf(claim);
    return anomaly ? [{ experiment, ...anomaly }] : [];
  });
  fill(id('matrix'), id('matrix').querySelector('caption'), headOf(), el('tbody', { role: 'rowgroup' }, ...anomalies.map(rowOf)));
  id('matrix-run').addEventListener('click', run);
  whenNear(id('matrix'), () => void run());
}

const headOf = () =>
  el(
    'thead',
    { role: 'rowgroup' },
    el(
      'tr',
      { role: 'row' },
      el('th', { scope: 'col', role: 'columnheader' }, 'Anomaly'),
      ...LEVELS.map((level) => el('th', { scope: 'col', role: 'columnheader' }, level)),
    ),
  );

/** @param {{ experiment: string, code: string, name: string, meaning: string }} anomaly */
function rowOf({ experiment, code, name, meaning }) {
  const title = el('th', { scope: 'row', role: 'rowheader' }, explained(name, meaning), el('small', {}, code));
  const cells = LEVELS.map((level) => el('td', { role: 'cell', 'data-level': level }, el('span.empty', {}, '…')));
  return el('tr', { role: 'row', 'data-experiment': experiment }, title, ...cells);
}

let running = false;

async function run() {
  if (running) return;
  running = true;
  const status = id('matrix-status');
  fill(status, 'Trying every cell on this database …');
  try {
    const { experiments } = await post('/labs/isolation');
    const tried = experiments.filter((/** @type {any} */ one) => one.evidence.figures.cells);
    tried.forEach(showRow);
    const cells = tried.flatMap((/** @type {any} */ one) => Object.values(one.evidence.figures.cells));
    const odd = cells.filter((/** @type {any} */ cell) => !cell.as_expected).length;
    fill(status, `${cells.length} cells tried just now; ${odd === 0 ? 'each is as PostgreSQL promises' : `${odd} are not as PostgreSQL promises`}.`);
  } catch (error) {
    fill(status, /** @type {Error} */ (error).message);
  } finally {
    running = false;
  }
}

/** @param {any} result */
function showRow({ experiment, claim, evidence }) {
  const row = document.querySelector(`[data-experiment="${experiment}"]`);
  for (const [level, cell] of Object.entries(/** @type {Record<string, any>} */ (evidence.figures.cells))) {
    const place = row?.querySelector(`[data-level="${level}"]`);
    if (!place) continue;
    const label = `${anomalyOf(claim)?.name} at ${level}: ${cell.verdict}`;
    const button = el('button.verdict-of', { type: 'button', 'aria-label': label, 'aria-pressed': 'false' }, cell.verdict);
    button.dataset.verdict = cell.verdict;
    const entries = evidence.timeline.filter((/** @type {any} */ one) => one.part === level);
    const show = () => showCell(button, { level, cell, claim, entries });
    button.addEventListener('click', () => {
      show();
      id('cell').focus({ preventScroll: wide.matches });
    });
    fill(place, button);
    if (experiment === FIRST.experiment && level === FIRST.level && wide.matches) show();
  }
}

/** @param {HTMLElement} button @param {{ level: string, cell: any, claim: string, entries: any[] }} about */
function showCell(button, { level, cell, claim, entries }) {
  for (const other of document.querySelectorAll('.verdict-of[aria-pressed=true]')) other.setAttribute('aria-pressed', 'false');
  button.setAttribute('aria-pressed', 'true');
  const anomaly = anomalyOf(claim);
  const panel = id('cell');
  fill(
    panel,
    el('h3', {}, anomaly?.name ?? claim),
    el('p.where', {}, `${level}: `, el('span', { 'data-verdict': cell.verdict }, term(cell.verdict))),
    el('p', {}, anomaly?.meaning),
    // Without the part: there is one, and the heading names it.
    timeline(entries.map(({ part: _, ...entry }) => entry), { label: `${anomaly?.name} at ${level}` }),
    el('p.note', {}, `What is in the table at the end: ${cell.seen.replace(/^.*= /, '').replaceAll('→', ' → ')}`),
  );
  settle(button);
}

/** @param {HTMLElement} button */
function settle(button) {
  const panel = id('cell');
  if (wide.matches) return document.querySelector('#isolation .split')?.append(panel);
  document.querySelector('tr.opened')?.remove();
  const cell = el('td', { colspan: '5', role: 'cell' }, panel);
  button.closest('tr')?.after(el('tr.opened', { role: 'row' }, cell));
}

wide.addEventListener('change', () => {
  const button = document.querySelector('.verdict-of[aria-pressed=true]');
  if (button instanceof HTMLElement) settle(button);
  if (wide.matches) document.querySelector('tr.opened')?.remove();
});
