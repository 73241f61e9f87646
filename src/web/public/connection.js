// @ts-check
import { fill, id } from './dom.js';

const FIRST_MS = 400;
const LONGEST_MS = 5000;
const NOTICE_MS = 4000;

/** Resolves when the service answers again; undefined while it is available. @type {Promise<void> | undefined} */
let recovery;

/** Whether the service is known not to answer. */
export const isUnavailable = () => recovery !== undefined;

/** Resolves when the service answers; at once while it is available. */
export const whenAvailable = () => recovery ?? Promise.resolve();

/** Reports that a request was not answered: shows a notice, and polls until the service answers again. */
export function reportUnavailable() {
  recovery ??= untilAvailable();
}

async function untilAvailable() {
  const banner = id('away');
  fill(banner, 'The service does not answer. This page retries and continues by itself.');
  banner.hidden = false;
  banner.classList.remove('good');
  disableButtons(true);
  for (let longest = FIRST_MS; ; longest = Math.min(LONGEST_MS, longest * 2)) {
    // Jitter, so that open pages do not all poll at the same moment.
    await pause(longest * (0.5 + Math.random() / 2));
    if (await answers()) break;
  }
  recovery = undefined;
  disableButtons(false);
  fill(banner, 'The service answers again.');
  banner.classList.add('good');
  setTimeout(() => {
    if (!recovery) banner.hidden = true;
  }, NOTICE_MS);
}

async function answers() {
  try {
    const options = { signal: AbortSignal.timeout(LONGEST_MS), cache: /** @type {const} */ ('no-store') };
    return (await fetch('/health/live', options)).ok;
  } catch {
    return false;
  }
}

/** Marks the buttons as disabled or enabled, without taking the focus from them. @param {boolean} disabled */
function disableButtons(disabled) {
  document.documentElement.classList.toggle('is-away', disabled);
  for (const button of document.querySelectorAll('[data-acts]')) {
    if (disabled) button.setAttribute('aria-disabled', 'true');
    else button.removeAttribute('aria-disabled');
  }
}

/** @param {number} ms */
export const pause = (ms) => new Promise((resolve) => setTimeout(resolve, ms));

/** Makes the buttons that send requests do nothing while the service does not answer. */
export function guardButtons() {
  for (const type of ['click', 'submit']) document.addEventListener(type, guard, { capture: true });
}

/** @param {Event} event */
function guard(event) {
  const target = /** @type {Element} */ (event.target);
  const acts = event.type === 'submit' ? target.id === 'race-form' : target.closest('[data-acts]');
  if (!recovery || !acts) return;
  event.preventDefault();
  event.stopImmediatePropagation();
}
