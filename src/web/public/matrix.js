// @ts-check
import { post } from './api.js';
import { showCell, wide } from './cell.js';
import { capital, el, fill, id, whenNear } from './dom.js';
import { explained } from './terms.js';

/** @typedef {import('./labs.js').Anomaly} Anomaly */

/** The selected cell; initially that of the lost update, if there is room beside the table. */
let selected = wide.matches ? { experiment: 'p4-lost-update', level: 'read committed' } : undefined;

/** By experiment, in the order of the table. @type {Map<string, Anomaly>} */
let anomalies = new Map();

/** The table of anomalies and levels; run when it comes into view, which takes a second or two. @param {import('./labs.js').Lab[]} labs */
export function openMatrix(labs) {
  const experiments = labs.flatMap((lab) => lab.experiments);
  anomalies = new Map(
    experiments.flatMap(({ experiment, anomaly }) => (anomaly ? [[experiment, anomaly]] : [])),
  );
  const [first] = anomalies.values();
  const levels = Object.keys(first?.expected ?? {});
  const heads = ['Anomaly', ...levels].map((text) => el('th', { scope: 'col', role: 'columnheader' }, text));
  fill(
    id('matrix'),
    id('matrix').querySelector('caption'),
    el('thead', { role: 'rowgroup' }, el('tr', { role: 'row' }, ...heads)),
    el('tbody', { role: 'rowgroup' }, ...[...anomalies].map(([name, anomaly]) => rowOf(name, anomaly))),
  );
  id('matrix-run').addEventListener('click', run);
  whenNear(id('matrix'), () => void run());
}

/** @param {string} experiment @param {Anomaly} anomaly */
function rowOf(experiment, { code, name, meaning, expected }) {
  const title = el(
    'th',
    { scope: 'row', role: 'rowheader' },
    explained(capital(name), `${capital(meaning)}.`),
    el('small', {}, code),
  );
  const cells = Object.keys(expected).map((level) =>
    el('td', { role: 'cell', 'data-level': level }, el('span.empty', {}, '…')),
  );
  return el('tr', { role: 'row', 'data-experiment': experiment }, title, ...cells);
}

let running = false;

async function run() {
  if (running) return;
  running = true;
  id('matrix-run').textContent = 'Run all again';
  const status = id('matrix-status');
  fill(status, 'Running every cell on this database …');
  try {
    const { experiments } = await post('/labs/isolation');
    const cells = experiments.flatMap(showRow);
    const odd = cells.filter((/** @type {any} */ cell) => !cell.as_expected).length;
    const verdict = odd === 0 ? 'all as PostgreSQL documents' : `${odd} not as PostgreSQL documents`;
    fill(status, `${cells.length} cells just run: ${verdict}.`);
  } catch (error) {
    fill(status, /** @type {Error} */ (error).message);
  } finally {
    running = false;
  }
}

/** @param {any} result @returns {any[]} its cells; none if the experiment is not about an anomaly */
function showRow({ experiment, evidence }) {
  const anomaly = anomalies.get(experiment);
  if (!anomaly) return [];
  for (const level of Object.keys(anomaly.expected)) {
    const cell = evidence.figures.cells[level];
    const entries = evidence.timeline.filter((/** @type {any} */ one) => one.part === level);
    const about = { anomaly, level, cell, entries };
    const button = buttonOf(experiment, about);
    const place = document.querySelector(`[data-experiment="${experiment}"] [data-level="${level}"]`);
    if (place) fill(place, button);
    if (isSelected(experiment, level)) showCell(button, about);
  }
  return Object.values(evidence.figures.cells);
}

/** @param {string} experiment @param {string} level */
const isSelected = (experiment, level) => selected?.experiment === experiment && selected?.level === level;

/** @param {string} experiment @param {Parameters<typeof showCell>[1]} about */
function buttonOf(experiment, about) {
  const { anomaly, level, cell } = about;
  const label = `${capital(anomaly.name)} at ${level}: ${cell.verdict}`;
  const button = el(
    'button.verdict-of',
    { type: 'button', 'aria-label': label, 'aria-pressed': 'false', 'data-verdict': cell.verdict },
    cell.verdict,
  );
  button.addEventListener('click', () => {
    selected = { experiment, level };
    showCell(button, about);
    // The focus stays in the table, for the next cell; a status announces the change to screen readers.
    const where = wide.matches ? 'after the table' : 'below this row';
    fill(id('cell-status'), `${label}. Its timeline is shown ${where}.`);
    if (!wide.matches) id('cell').scrollIntoView({ block: 'nearest' });
  });
  return button;
}
