// @ts-check
import { el, fill, id } from './dom.js';
import { goalOf } from './goals.js';
import { timeline } from './timeline.js';

/** Shows two increments that wrote the same value side by side. @param {any} [result] the one with the most losses */
export function showWitness(result) {
  const section = id('witness');
  section.hidden = !result?.witness;
  if (!result?.witness) return;
  const { experiment, strategy, lost, timeline: entries } = result;
  const { how, witness, note } = goalOf(experiment);
  const { value, workers } = result.witness;
  const sessions = workers.toSorted().map((/** @type {number} */ worker) => `worker ${worker}`);
  const first = entries[0]?.session ?? sessions[0];
  const other = sessions.find((/** @type {string} */ session) => session !== first) ?? first;
  fill(
    section,
    el(
      'div.why',
      {},
      el('p.kicker', {}, `Why ${strategy} ${how}`),
      el('h2', { id: 'witness-title' }, `Both read ${value - 1}.`, el('br'), `Both wrote ${value}.`),
      el(
        'p.lead',
        {},
        `${witness} Between the read and the write of ${first}, ${other} read the same number.`,
      ),
      lost > 1 && el('p.note', {}, note(lost)),
    ),
    timeline(entries, { label: `How ${strategy} ${how}`, sessions }),
  );
}
