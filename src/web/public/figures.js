// @ts-check
import { bar } from './bar.js';
import { el, fill, id, number } from './dom.js';
import { goalOf } from './goals.js';
import { term } from './terms.js';

/** The figures that are compared side by side. */
const figures = (/** @type {string} */ rate) => [
  { key: 'increments_per_second', title: rate, name: 'throughput' },
  { key: 'conflicts', title: 'Conflicts', name: 'conflict' },
  { key: 'retries', title: 'Retries', name: 'retry' },
];

/** Throughput, conflicts and retries side by side. @param {any[]} results */
export function showFigures(results) {
  id('figures').hidden = false;
  const { rate } = goalOf(results[0]?.experiment);
  showTable(results, rate);
  const charts = figures(rate).map(({ key, title, name }) => {
    const max = Math.max(...results.map((one) => one[key]));
    const bars = results.map((one) => bar(one.strategy, one[key], max, one.lost > 0 ? 'loss' : 'accent'));
    return el('figure', {}, el('figcaption', {}, term(name, title)), el('dl.bars', {}, ...bars));
  });
  fill(id('charts'), ...charts);
}

/** @param {any[]} results @param {string} rate */
function showTable(results, rate) {
  const columns = ['acknowledged', 'final', 'lost', 'increments_per_second', 'conflicts', 'retries'];
  const heads = ['Strategy', 'Acknowledged', 'Count', 'Lost', rate, 'Conflicts', 'Retries', 'Verdict'];
  const head = el('tr', {}, ...heads.map((name) => el('th', { scope: 'col' }, name)));
  const rows = results.map((one) =>
    el(
      'tr',
      {},
      el('th', { scope: 'row' }, one.strategy),
      ...columns.map((key) => el('td', {}, number(one[key]))),
      el('td', {}, one.verdict),
    ),
  );
  fill(id('numbers'), el('thead', {}, head), el('tbody', {}, ...rows));
}
