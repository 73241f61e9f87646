// @ts-check
import { capital, el, fill, id } from './dom.js';
import { term } from './terms.js';
import { timeline } from './timeline.js';

/** The panel is beside the table if there is room, otherwise below the row of the selected cell. */
export const wide = matchMedia('(min-width: 1100px)');

/**
 * Shows the timeline of a cell.
 *
 * @param {HTMLElement} button
 * @param {{ anomaly: import('./labs.js').Anomaly, level: string, cell: any, entries: any[] }} about
 */
export function showCell(button, { anomaly, level, cell, entries }) {
  for (const other of document.querySelectorAll('.verdict-of[aria-pressed=true]'))
    other.setAttribute('aria-pressed', 'false');
  button.setAttribute('aria-pressed', 'true');
  const rows = cell.final.map((/** @type {any} */ row) => `${row.id} → ${row.value}`).join(', ');
  fill(
    id('cell'),
    el('h3', {}, capital(anomaly.name)),
    el('p.where', {}, `${level}: `, el('span', { 'data-verdict': cell.verdict }, term(cell.verdict))),
    el('p', {}, `${capital(anomaly.meaning)}.`),
    timeline(entries, { label: `${anomaly.name} at ${level}` }),
    el('p.note', {}, `The rows of the table at the end: ${rows}`),
  );
  placePanel(button);
}

/** @param {HTMLElement} button */
function placePanel(button) {
  const panel = id('cell');
  if (wide.matches) return document.querySelector('#isolation .split')?.append(panel);
  document.querySelector('tr.opened')?.remove();
  const cell = el('td', { colspan: '5', role: 'cell' }, panel);
  button.closest('tr')?.after(el('tr.opened', { role: 'row' }, cell));
}

wide.addEventListener('change', () => {
  const button = document.querySelector('.verdict-of[aria-pressed=true]');
  if (button instanceof HTMLElement) placePanel(button);
  if (wide.matches) document.querySelector('tr.opened')?.remove();
});
