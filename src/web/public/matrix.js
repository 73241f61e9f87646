// @ts-check
import { anomalyOf } from './anomaly.js';
import { get, post } from './api.js';
import { showCell, wide } from './cell.js';
import { el, fill, id } from './dom.js';
import { whenNear } from './figures.js';
import { explained } from './terms.js';

const LEVELS = ['read uncommitted', 'read committed', 'repeatable read', 'serializable'];

/** The cell that is shown; to begin with, and where it is out of nobody's way, the one that the page is about. */
let shown = wide.matches ? { experiment: 'p4-lost-update', level: 'read committed' } : undefined;

/** The levels × the anomalies; tried when they come into view, which takes a second or two. */
export async function openMatrix() {
  const lab = (await get('/labs')).find((/** @type {any} */ one) => one.lab === 'isolation');
  const anomalies = lab.experiments.flatMap((/** @type {any} */ { experiment, claim }) => {
    const anomaly = anomalyOf(claim);
    return anomaly ? [{ experiment, ...anomaly }] : [];
  });
  fill(
    id('matrix'),
    id('matrix').querySelector('caption'),
    headOf(),
    el('tbody', { role: 'rowgroup' }, ...anomalies.map(rowOf)),
  );
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
  const title = el(
    'th',
    { scope: 'row', role: 'rowheader' },
    explained(name, meaning),
    el('small', {}, code),
  );
  const cells = LEVELS.map((level) =>
    el('td', { role: 'cell', 'data-level': level }, el('span.empty', {}, '…')),
  );
  return el('tr', { role: 'row', 'data-experiment': experiment }, title, ...cells);
}

let running = false;

async function run() {
  if (running) return;
  running = true;
  id('matrix-run').textContent = 'Try all again';
  const status = id('matrix-status');
  fill(status, 'Trying every cell on this database …');
  try {
    const { experiments } = await post('/labs/isolation');
    const tried = experiments.filter((/** @type {any} */ one) => one.evidence.figures.cells);
    tried.forEach(showRow);
    const cells = tried.flatMap((/** @type {any} */ one) => Object.values(one.evidence.figures.cells));
    const odd = cells.filter((/** @type {any} */ cell) => !cell.as_expected).length;
    fill(
      status,
      `${cells.length} cells tried just now; ${odd === 0 ? 'each is as PostgreSQL promises' : `${odd} are not as PostgreSQL promises`}.`,
    );
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
    const button = el(
      'button.verdict-of',
      { type: 'button', 'aria-label': label, 'aria-pressed': 'false' },
      cell.verdict,
    );
    button.dataset.verdict = cell.verdict;
    const entries = evidence.timeline.filter((/** @type {any} */ one) => one.part === level);
    const show = () => showCell(button, { level, cell, claim, entries });
    button.addEventListener('click', () => {
      shown = { experiment, level };
      show();
      // The focus stays in the table, for the next cell; who does not see what has changed is told.
      fill(
        id('cell-status'),
        `${label}. Who did what is shown ${wide.matches ? 'after the table' : 'below this row'}.`,
      );
      if (!wide.matches) id('cell').scrollIntoView({ block: 'nearest' });
    });
    fill(place, button);
    if (experiment === shown?.experiment && level === shown?.level) show();
  }
}
