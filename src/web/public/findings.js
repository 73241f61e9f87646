// @ts-check
import { capital } from './anomaly.js';
import { el } from './dom.js';
import { withTerms } from './terms.js';

/** Told elsewhere. */
const ELSEWHERE = new Set(['verdict', 'mikro_orm']);

/** What a claim was decided by, as a list that people can read. @param {Record<string, unknown>} figures */
export function findings(figures) {
  const shown = Object.entries(figures).filter(([name]) => !ELSEWHERE.has(name));
  const known = new Set();
  return el(
    'dl.findings',
    {},
    ...shown.map(([name, value]) =>
      el('div', {}, el('dt', {}, words(name)), el('dd', {}, ...withTerms(told(value), known))),
    ),
  );
}

/** @param {string} name */
const words = (name) => capital(plain(name));

/** Names of settings stay as they are. @param {string} name */
const plain = (name) => (/[a-z]/.test(name) ? name.replaceAll('_', ' ') : name);

/** @param {unknown} value @returns {string} */
function told(value) {
  if (value === null || value === undefined) return 'none';
  if (typeof value === 'boolean') return value ? 'yes' : 'no';
  if (Array.isArray(value)) {
    if (value.length === 0) return 'none';
    return value.map(told).join(value.some((one) => typeof one === 'object') ? '\n' : ', ');
  }
  if (typeof value === 'string') return value;
  if (typeof value !== 'object') return JSON.stringify(value);
  const fields = Object.entries(value).map(([name, field]) => `${plain(name)}: ${told(field)}`);
  const nested = Object.values(value).some(
    (field) => field && typeof field === 'object' && !Array.isArray(field),
  );
  return fields.join(nested ? '\n' : ' · ');
}
