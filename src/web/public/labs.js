// @ts-check
import { post } from './api.js';
import { capital, el, fill, id } from './dom.js';
import { Experiment } from './experiment.js';
import { explained } from './terms.js';

/** @typedef {{ code: string, name: string, meaning: string, expected: Record<string, string> }} Anomaly */
/** @typedef {{ experiment: string, claim: string, cure?: string, anomaly?: Anomaly }} About */
/** @typedef {{ lab: string, summary: string, terms: { term: string, meaning: string }[], experiments: About[] }} Lab */

/** The labs as tabs, each with its experiments. Those that are in the matrix are left out. @param {Lab[]} labs */
export function openLabs(labs) {
  const tabbed = labs
    .map((lab) => ({
      ...lab,
      all: lab.experiments.length,
      experiments: lab.experiments.filter(({ anomaly }) => !anomaly),
    }))
    // The lab that is mostly in the matrix comes last.
    .toSorted((a, b) => a.all - a.experiments.length - (b.all - b.experiments.length));
  const tabs = tabbed.map(tabOf);
  fill(id('lab-tabs'), ...tabs);
  fill(id('lab-panels'), ...tabbed.map(panelOf));
  id('lab-tabs').addEventListener('click', (/** @type {Event} */ { target }) => {
    const at = tabs.indexOf(/** @type {HTMLElement} */ (target));
    if (at >= 0) select(tabs, at);
  });
  id('lab-tabs').addEventListener('keydown', (/** @type {KeyboardEvent} */ event) => byKey(event, tabs));
  select(tabs, 0);
}

/** @param {Lab} lab */
function tabOf({ lab, experiments }) {
  const attributes = { type: 'button', role: 'tab', id: `tab-${lab}`, 'aria-controls': `panel-${lab}` };
  return el('button', attributes, capital(lab), el('small', { 'aria-hidden': 'true' }, experiments.length));
}

/** @param {HTMLElement[]} tabs @param {number} at */
function select(tabs, at) {
  for (const [i, tab] of tabs.entries()) {
    tab.setAttribute('aria-selected', String(i === at));
    tab.tabIndex = i === at ? 0 : -1;
    id(tab.getAttribute('aria-controls') ?? '').hidden = i !== at;
  }
}

/** The keys of the ARIA pattern for tabs. @param {KeyboardEvent} event @param {HTMLElement[]} tabs */
function byKey(event, tabs) {
  const at = tabs.indexOf(/** @type {HTMLElement} */ (event.target));
  /** @type {Record<string, number>} */
  const moves = { ArrowRight: at + 1, ArrowLeft: at - 1 + tabs.length, Home: 0, End: tabs.length - 1 };
  const to = moves[event.key];
  if (at < 0 || to === undefined) return;
  event.preventDefault();
  select(tabs, to % tabs.length);
  tabs[to % tabs.length]?.focus();
}

/** @param {Lab & { all: number }} lab */
function panelOf({ lab, summary, terms, experiments, all }) {
  const words = terms.map(({ term, meaning }) => el('li', {}, explained(term, meaning)));
  const rows = experiments.map((one) => new Experiment(lab, one));
  const button = el('button', { type: 'button', 'data-acts': true }, `Run all ${rows.length}`);
  const runAll = async () => {
    button.setAttribute('disabled', '');
    if (all === rows.length) await together(lab, rows);
    else for (const row of rows) await row.run();
    button.removeAttribute('disabled');
  };
  button.addEventListener('click', () => void runAll());
  const about = el('div', {}, el('p', {}, summary), el('ul.terms', { 'aria-label': 'Terms' }, ...words));
  const head = el('div.lab-head', {}, about, button);
  const panel = { id: `panel-${lab}`, role: 'tabpanel', 'aria-labelledby': `tab-${lab}` };
  return el('div.lab', panel, head, ...rows.map(({ element }) => element));
}

/** @param {string} lab @param {Experiment[]} rows */
async function together(lab, rows) {
  for (const row of rows) row.running();
  try {
    const { experiments } = await post(`/labs/${lab}`);
    for (const row of rows)
      row.show(experiments.find((/** @type {any} */ one) => one.experiment === row.name));
  } catch (error) {
    for (const row of rows) row.refused(/** @type {Error} */ (error).message);
  }
}
