// @ts-check
import { events, post } from './api.js';
import { fireLikes } from './burst.js';
import { pause, whenBack } from './connection.js';
import { count, el, fill, id, number } from './dom.js';

const BURST = 500;
const RECONNECT_MS = 500;

/** Stops listening to the counter that was shown. @type {AbortController | undefined} */
let listening;

/** A like button on a counter that holds, with its value live. */
export async function openCounter() {
  id('counter-name').addEventListener('change', listen);
  // A browser has few connections for a host: a tab that nobody sees gives its own back.
  document.addEventListener('visibilitychange', listen);
  id('like').addEventListener('click', () => void like());
  id('burst').addEventListener('click', () => void burst());
  listen();
}

const path = () => `/counters/${encodeURIComponent(id('counter-name').value || 'demo')}`;

function listen() {
  listening?.abort();
  listening = new AbortController();
  if (document.visibilityState === 'visible') void follow(`${path()}/events`, listening.signal);
}

/** @param {string} address @param {AbortSignal} signal */
async function follow(address, signal) {
  while (!signal.aborted) {
    try {
      for await (const { event, data } of events(address, signal)) {
        if (event === 'value') show(data.value);
      }
    } catch (error) {
      if (signal.aborted) return;
      fill(id('counter-status'), /** @type {Error} */ (error).message);
    }
    await whenBack();
    await pause(RECONNECT_MS * (1 + Math.random()));
  }
}

/** @param {number | string | null} value null: nobody has counted yet */
function show(value) {
  const output = id('counter-value');
  const text = value === null ? '0' : number(Number(value));
  if (output.textContent === text) return;
  output.textContent = text;
  output.animate?.([{ opacity: 0.6 }, { opacity: 1 }], 150);
}

async function like() {
  const status = id('counter-status');
  try {
    const { value } = await post(`${path()}/increments`, { by: 1 });
    fill(status, `Your like counts. It is number ${number(Number(value))}.`);
  } catch (error) {
    fill(status, /** @type {Error} */ (error).message);
  }
}

async function burst() {
  const status = id('counter-status');
  const button = id('burst');
  button.disabled = true;
  fill(status, 'Firing …');
  try {
    const result = await fireLikes(`${path()}/increments`, BURST, (done) => {
      fill(id('spent'), bar('Likes counted', done, BURST, 'kept'));
    });
    fill(status, `${count(result.counted, 'like')} counted in ${(result.ms / 1000).toFixed(1)} s.`);
    tell(result);
  } catch (error) {
    fill(status, /** @type {Error} */ (error).message);
  } finally {
    button.disabled = false;
    button.focus({ preventScroll: true });
  }
}

/** @param {{ counted: number, failed: number, again: number, commits: number | undefined, why: string }} result */
function tell({ counted, failed, again, commits, why }) {
  const each = commits ? Math.round((10 * counted) / commits) / 10 : 0;
  fill(
    id('spent'),
    bar('Likes counted', counted, BURST, 'kept'),
    commits === undefined ? null : bar('Commits, about', commits, BURST, 'told'),
    commits ? el('p', {}, `About ${each} likes to a commit. A browser sends six at a time, so more tabs make fuller commits.`) : null,
    again > 0 && el('p.bad', {}, `${count(again, 'answer')} said “not now” (${why}) and those likes were sent again, with the same key, so none counts twice.`),
    failed > 0 && el('p.bad', {}, `${count(failed, 'like')} did not get through: ${why}`),
    commits === undefined ? null : el('p.note', {}, 'Commits are those of this service in that time; others may be counting, too.'),
  );
}

/** @param {string} name @param {number} value @param {number} of @param {string} kind */
function bar(name, value, of, kind) {
  const filled = el(`span.${kind}`);
  filled.style.width = `${Math.min(100, (100 * value) / of)}%`;
  return el('div.bar-of', {}, el('span', {}, name), el('b', {}, number(value)), el('div.track', { 'aria-hidden': 'true' }, filled));
}
