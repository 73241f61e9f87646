// @ts-check
import { el, number } from './dom.js';

/**
 * A labelled bar with its number: one row of a `dl.bars`.
 *
 * @param {string} title @param {number} value @param {number} max the value of a full bar
 * @param {'accent' | 'loss' | 'ink'} colour
 */
export function bar(title, value, max, colour) {
  const filled = el('span.amount', { 'aria-hidden': 'true', 'data-colour': colour });
  filled.style.setProperty('--part', String(max > 0 ? Math.min(1, value / max) : 0));
  return el('div', {}, el('dt', {}, title), el('dd', {}, filled, number(value)));
}
