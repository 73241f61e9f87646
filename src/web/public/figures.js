// @ts-check
import { el, fill, id, number } from './dom.js';
import { term } from './terms.js';

/** What is compared side by side. */
const FIGURES = [
  { key: 'increments_per_second', title: 'Likes a second', name: 'throughput' },
  { key: 'conflicts', title: 'Conflicts', name: 'conflict' },
  { key: 'retries', title: 'Retries', name: 'retry' },
];

/** @type {{ dispose(): void }[]} */
let drawn = [];

/** Throughput, conflicts and retries side by side. The library that draws them comes when they are about to be seen. @param {any[]} results */
export function showFigures(results) {
  const section = id('figures');
  section.hidden = false;
  showTable(results);
  const boxes = FIGURES.map(({ key, title, name }) => {
    const said = results.map((one) => `${one.strategy} ${number(one[key])}`).join(', ');
    const canvas = el('div.chart', { role: 'img', 'aria-label': `${title}: ${said}` });
    return { canvas, key, element: el('figure', {}, el('figcaption', {}, term(name, title)), canvas) };
  });
  fill(id('charts'), ...boxes.map(({ element }) => element));
  const draw = async () => {
    const { barChart } = await import('./chart.js');
    for (const chart of drawn) chart.dispose();
    drawn = boxes.map(({ canvas, key }) => barChart(canvas, results, key));
  };
  whenNear(section, () => void draw());
}

/** @param {Element} element @param {() => void} then once, when it is about to be seen */
export function whenNear(element, then) {
  const observer = new IntersectionObserver(
    (seen) => {
      if (!seen.some(({ isIntersecting }) => isIntersecting)) return;
      observer.disconnect();
      then();
    },
    { rootMargin: '200px' },
  );
  observer.observe(element);
}

/** @param {any[]} results */
function showTable(results) {
  const columns = ['acknowledged', 'final', 'lost', 'increments_per_second', 'conflicts', 'retries'];
  const heads = [
    'Strategy',
    'Acknowledged',
    'Count',
    'Lost',
    'Likes a second',
    'Conflicts',
    'Retries',
    'Verdict',
  ];
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
