// @ts-check
import { capital, el } from './dom.js';

/** Figures that are displayed elsewhere on the page. */
const ELSEWHERE = new Set(['verdict', 'mikro_orm']);

/** The figures that decide a claim, as a readable list. @param {Record<string, unknown>} figures */
export function findings(figures) {
  const own = Object.entries(figures).filter(([name]) => !ELSEWHERE.has(name));
  return el(
    'dl.findings',
    {},
    ...own.map(([name, value]) =>
      el('div', {}, el('dt', {}, capital(labelOf(name))), el('dd', {}, textOf(value))),
    ),
  );
}

/** Names of settings stay as they are. @param {string} name */
const labelOf = (name) => (/[a-z]/.test(name) ? name.replaceAll('_', ' ') : name);

/** @param {unknown} value @returns {string} */
function textOf(value) {
  if (value === null || value === undefined) return 'none';
  if (typeof value === 'boolean') return value ? 'yes' : 'no';
  if (Array.isArray(value)) {
    if (value.length === 0) return 'none';
    return value.map(textOf).join(value.some((one) => typeof one === 'object') ? '\n' : ', ');
  }
  if (typeof value === 'string') return value;
  if (typeof value !== 'object') return JSON.stringify(value);
  const fields = Object.entries(value).map(([name, field]) => `${labelOf(name)}: ${textOf(field)}`);
  const nested = Object.values(value).some(
    (field) => field && typeof field === 'object' && !Array.isArray(field),
  );
  return fields.join(nested ? '\n' : ' · ');
}
