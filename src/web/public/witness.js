// @ts-check
import { el, fill, id } from './dom.js';
import { timeline } from './timeline.js';

/** Shows two increments that wrote the same value side by side. @param {any} [result] the one with the most losses */
export function showWitness(result) {
  const section = id('witness');
  section.hidden = !result?.witness;
  if (!result?.witness) return;
  const { experiment, strategy, lost, timeline: entries } = result;
  const tickets = experiment === 'tickets';
  const { value, workers } = result.witness;
  const sessions = workers.toSorted().map((/** @type {number} */ worker) => `worker ${worker}`);
  const first = entries[0]?.session ?? sessions[0];
  const other = sessions.find((/** @type {string} */ session) => session !== first) ?? first;
  fill(
    section,
    el(
      'div.why',
      {},
      el('p.kicker', {}, `Why ${strategy} lost a like`),
      el('h2', { id: 'witness-title' }, `Both read ${value - 1}.`, el('br'), `Both wrote ${value}.`),
      el(
        'p.lead',
        {},
        tickets
          ? 'Two buyers were told that they have this ticket. '
          : 'Two likes were acknowledged, but the count went up by one. ',
        `Between the read and the write of ${first}, ${other} read the same number.`,
      ),
      lost > 1 &&
        el(
          'p.note',
          {},
          tickets
            ? `${lost} tickets were sold twice in this race. This is how one of them was, as the database saw it.`
            : `${lost} likes vanished in this race. This is how one of them was lost, as the database saw it.`,
        ),
    ),
    timeline(entries, { label: `How ${strategy} lost a like`, sessions }),
  );
}
