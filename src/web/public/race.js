// @ts-check
import { events, get } from './api.js';
import { isUnavailable } from './connection.js';
import { count, el, fill, id } from './dom.js';
import { showFigures } from './figures.js';
import { goalOf, goals } from './goals.js';
import { Lane } from './lane.js';
import { showWitness } from './witness.js';

/** Initially selected: one strategy that loses likes, and three very different ones that do not. */
const CHOSEN = new Set(['unsafe', 'pessimistic', 'optimistic', 'group-commit']);
const RACED = 'safe-counters raced';

/** @typedef {{ name: string, summary: string, claim: string }} Strategy */

/** Stops the current race. @type {AbortController | undefined} */
let running;

/** Shows the strategies to choose from, and starts the first race by itself. */
export async function openRace() {
  const form = id('race-form');
  const strategies = /** @type {Strategy[]} */ (await get('/strategies'));
  form.experiment.append(...Object.entries(goals).map(([name, { title }]) => new Option(title, name)));
  id('strategies').append(...strategies.map(choice));
  // Open only if there is room beside the race; on a phone the list would push the race off the screen.
  form.querySelector('details').open = matchMedia('(min-width: 1000px)').matches;
  const show = () => {
    id('each').textContent = goalOf(form.experiment.value).each;
    const chosen = chosenOf(form, strategies);
    id('chosen').textContent = `${chosen.length} of ${count(strategies.length, 'strategy', 'strategies')}`;
    showLanes(chosen);
  };
  form.addEventListener('change', (/** @type {Event} */ event) => {
    const { name } = /** @type {HTMLInputElement} */ (event.target);
    if (!running && ['strategy', 'experiment'].includes(name)) show();
  });
  form.addEventListener('submit', (/** @type {Event} */ event) => {
    event.preventDefault();
    if (running) return running.abort();
    void race(form, chosenOf(form, strategies));
  });
  show();
  fill(id('verdict'), 'Press Race and watch the counts.');
  // A visitor sees likes vanish within seconds of opening the page; once per visit is enough.
  if (sessionStorage.getItem(RACED) || !['', '#race'].includes(location.hash)) return;
  sessionStorage.setItem(RACED, 'yes');
  await race(form, chosenOf(form, strategies));
}

/** @param {Strategy} strategy */
function choice({ name }) {
  const box = el('input', { type: 'checkbox', name: 'strategy', value: name, checked: CHOSEN.has(name) });
  return el('label.pick', {}, box, name);
}

/** @param {HTMLFormElement} form @param {Strategy[]} strategies */
function chosenOf(form, strategies) {
  const names = new FormData(form).getAll('strategy');
  return strategies.filter(({ name }) => names.includes(name));
}

/** @param {Strategy[]} chosen */
function showLanes(chosen) {
  const lanes = new Map(chosen.map((strategy) => [strategy.name, new Lane(strategy)]));
  fill(id('lanes'), ...[...lanes.values()].map((lane) => lane.element));
  return lanes;
}

/** @param {HTMLFormElement} form @param {Strategy[]} chosen */
async function race(form, chosen) {
  const verdict = id('verdict');
  const button = form.querySelector('[type=submit]');
  if (isUnavailable()) return;
  if (chosen.length === 0) return fill(verdict, 'Select at least one strategy.');
  const lanes = showLanes(chosen);
  const query = new URLSearchParams({
    experiment: form.experiment.value,
    strategies: chosen.map(({ name }) => name).join(','),
    workers: form.workers.value,
    increments: form.increments.value,
  });
  running = new AbortController();
  if (button) button.textContent = 'Stop';
  fill(verdict, 'Racing …');
  verdict.classList.remove('bad');
  try {
    const results = await follow(`/races/stream?${query}`, running.signal, lanes);
    showResults(results);
  } catch (error) {
    verdict.classList.toggle('bad', !running.signal.aborted);
    fill(verdict, running.signal.aborted ? 'Stopped.' : /** @type {Error} */ (error).message);
  } finally {
    running = undefined;
    if (button) button.textContent = 'Race again';
  }
}

/** @param {string} path @param {AbortSignal} signal @param {Map<string, Lane>} lanes */
async function follow(path, signal, lanes) {
  const results = [];
  let ended = false;
  for await (const { event, data } of events(path, signal)) {
    const lane = lanes.get(data.strategy);
    if (event === 'waiting') fill(id('verdict'), 'Waiting for other races …');
    if (event === 'start') {
      fill(id('verdict'), 'Racing …');
      lane?.start(data.expected);
    }
    if (event === 'progress') lane?.progress(data);
    if (event === 'result') {
      lane?.end(data);
      results.push(data);
    }
    ended ||= event === 'end';
  }
  if (!ended) throw new Error('The race was interrupted. Start it again.');
  return results;
}

/** The verdict in a sentence, and the evidence. @param {any[]} results */
function showResults(results) {
  const losers = results.filter(({ lost }) => lost > 0);
  const worst = losers.toSorted((a, b) => b.lost - a.lost)[0];
  fill(id('verdict'), sentence(results, losers));
  showWitness(worst);
  showFigures(results);
}

/** @param {any[]} results @param {any[]} losers */
function sentence(results, losers) {
  const slow = results.filter(({ verdict }) => verdict === 'inconclusive').map(({ strategy }) => strategy);
  const kept = results.length - losers.length - slow.length;
  const goal = goalOf(results[0]?.experiment);
  const lost = losers.map((one) => goal.loss(one));
  const parts = [
    lost.join(', '),
    slow.length > 0 ? `${slow.join(', ')} ran out of time: too slow to tell` : '',
  ];
  const said = parts.filter(Boolean).join('. ');
  if (said) {
    const others = kept > 0 ? ` ${kept === 1 ? 'The other one' : `The other ${kept}`} ${goal.kept}.` : '';
    return `${said}.${others}`;
  }
  return results.length === 1 ? goal.all : `All ${results.length} ${goal.kept}.`;
}
