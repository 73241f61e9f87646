// @ts-check
import { events, post } from './api.js';
import { bar } from './bar.js';
import { fireLikes } from './burst.js';
import { pause, whenAvailable } from './connection.js';
import { count, el, fill, id, number } from './dom.js';

const BURST = 500;
const RECONNECT_MS = 500;

/** Stops listening to the counter that was shown. @type {AbortController | undefined} */
let listening;

/** A like button on a counter that holds, with its value live. */
export async function openCounter() {
  id('counter-name').addEventListener('change', listen);
  // A browser has few connections for a host: a hidden tab gives its own back.
  document.addEventListener('visibilitychange', listen);
  id('like').addEventListener('click', () => void like());
  id('burst').addEventListener('click', () => void burst());
  listen();
}

const name = () => id('counter-name').value || 'demo';
const path = () => `/counters/${encodeURIComponent(name())}`;

function listen() {
  listening?.abort();
  listening = new AbortController();
  if (document.visibilityState === 'visible') void follow(`${path()}/events`, listening.signal);
}

/** @param {string} address @param {AbortSignal} signal */
async function follow(address, signal) {
  const status = id('counter-status');
  for (let trouble = ''; !signal.aborted; ) {
    try {
      for await (const { event, data } of events(address, signal)) {
        if (event === 'value') show(data.value);
        if (status.textContent === trouble) fill(status);
      }
    } catch (error) {
      if (signal.aborted) return;
      trouble = /** @type {Error} */ (error).message;
      fill(status, trouble);
    }
    await whenAvailable();
    await pause(RECONNECT_MS * (1 + Math.random()));
  }
}

/** @param {number | string | null} value null: there is no such counter yet */
function show(value) {
  const output = id('counter-value');
  const text = value === null ? '0' : number(Number(value));
  if (output.textContent === text) return;
  output.textContent = text;
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
    const result = await fireLikes(name(), BURST, showSpent);
    fill(status, `${count(result.counted, 'like')} counted in ${(result.ms / 1000).toFixed(1)} s.`);
    showSpent(result);
  } catch (error) {
    fill(status, /** @type {Error} */ (error).message);
  } finally {
    button.disabled = false;
    button.focus({ preventScroll: true });
  }
}

/** @param {import('./burst.js').Burst} burst on its way, or over */
function showSpent({ counted, failed, again, requests, commits, why }) {
  const each = commits ? Math.round(counted / commits) : 0;
  fill(
    id('spent'),
    el(
      'dl.bars',
      {},
      bar('Likes counted', counted, BURST, 'accent'),
      bar('Requests', requests, BURST, 'ink'),
      commits === undefined ? null : bar('Commits, about', commits, BURST, 'ink'),
    ),
    commits
      ? el(
          'p',
          {},
          `About ${each} likes to a commit: those that wait are written together, and answered after it.`,
        )
      : null,
    again > 0 &&
      el(
        'p.bad',
        {},
        `${count(again, 'request')} met a “not now” and went again with the same key, so that nothing counts twice. ${why}`,
      ),
    failed > 0 && el('p.bad', {}, `${count(failed, 'like')} did not get through. ${why}`),
    commits
      ? el(
          'p.note',
          {},
          'Ten likes to a request, because a browser opens six connections only. Commits are those of this service in that time; others may be counting, too.',
        )
      : null,
  );
}
