// @ts-check
import { events, post } from './api.js';
import { bar } from './bar.js';
import { fireLikes } from './burst.js';
import { pause, whenAvailable } from './connection.js';
import { count, el, fill, id, number } from './dom.js';

const BURST = 500;
const RECONNECT_MS = 500;

/** Stops listening to the current counter. @type {AbortController | undefined} */
let listening;

/** Shows a production counter with its live value, a like button and a burst button. */
export async function openCounter() {
  id('counter-name').addEventListener('change', listen);
  // A browser opens few connections to a host: a hidden tab releases its own.
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

/** @param {number | string | null} value null: the counter does not exist yet */
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
    fill(status, `Your like was counted: number ${number(Number(value))}.`);
  } catch (error) {
    fill(status, /** @type {Error} */ (error).message);
  }
}

async function burst() {
  const status = id('counter-status');
  const button = id('burst');
  button.disabled = true;
  fill(status, 'Sending likes …');
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

/** @param {import('./burst.js').Burst} burst in progress, or finished */
function showSpent({ counted, failed, retries, requests, commits, why }) {
  const each = commits ? Math.round(counted / commits) : 0;
  fill(
    id('spent'),
    el(
      'dl.bars',
      {},
      bar('Likes counted', counted, BURST, 'accent'),
      bar('Requests', requests, BURST, 'ink'),
      commits === undefined ? null : bar('Commits (approx.)', commits, BURST, 'ink'),
    ),
    commits
      ? el(
          'p',
          {},
          `About ${each} likes per commit: likes that wait are written together and answered after the commit.`,
        )
      : null,
    retries > 0 &&
      el(
        'p.bad',
        {},
        `${count(retries, 'request')} had to be retried, with the same key, so that nothing counts twice. ${why}`,
      ),
    failed > 0 && el('p.bad', {}, `${count(failed, 'like')} failed. ${why}`),
    commits
      ? el(
          'p.note',
          {},
          'Ten likes per request, because a browser opens only six connections to a host. The commits are all that this service made during the burst, including those for other clients.',
        )
      : null,
  );
}
