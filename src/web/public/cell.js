// @ts-check
import { anomalyOf } from './anomaly.js';
import { el, fill, id } from './dom.js';
import { term } from './terms.js';
import { timeline } from './timeline.js';

/** Beside the table where there is room, else below the row that was pressed. */
export const wide = matchMedia('(min-width: 1100px)');

/** Who did what in this cell. @param {HTMLElement} button @param {{ level: string, cell: any, claim: string, entries: any[] }} about */
export function showCell(button, { level, cell, claim, entries }) {
  for (const other of document.querySelectorAll('.verdict-of[aria-pressed=true]'))
    other.setAttribute('aria-pressed', 'false');
  button.setAttribute('aria-pressed', 'true');
  const anomaly = anomalyOf(claim);
  const panel = id('cell');
  fill(
    panel,
    el('h3', {}, anomaly?.name ?? claim),
    el('p.where', {}, `${level}: `, el('span', { 'data-verdict': cell.verdict }, term(cell.verdict))),
    el('p', {}, anomaly?.meaning),
    timeline(entries.map(plain), { label: `${anomaly?.name} at ${level}` }),
    el(
      'p.note',
      {},
      `What is in the table at the end: ${cell.seen.replace(/^.*= /, '').replaceAll(' ', ', ').replaceAll('→', ' → ')}`,
    ),
  );
  settle(button);
}

/** Without the level: there is one, and the heading names it. @param {any} entry */
const plain = ({ part: _part, sql, ...entry }) => ({ ...entry, sql: sql?.replace(/^begin .*/, 'begin') });

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
