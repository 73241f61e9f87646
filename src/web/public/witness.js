// @ts-check
import { el, fill, id } from './dom.js';
import { timeline } from './timeline.js';

/** Two increments that both wrote the same value, side by side. @param {any} [result] the one that lost most */
export function showWitness(result) {
  const section = id('witness');
  section.hidden = !result?.witness;
  if (!result?.witness) return;
  const { value, workers } = result.witness;
  const first = result.timeline[0]?.worker;
  const other = workers.find((/** @type {number} */ worker) => worker !== first) ?? first;
  const entries = result.timeline.map((/** @type {any} */ entry) => ({
    ...entry,
    session: `Contender ${entry.worker}`,
  }));
  const reads = entries
    .filter((/** @type {any} */ one) => one.like !== undefined)
    .map((/** @type {any} */ one) => one.like);
  const same = reads.length > 1 && reads.every((/** @type {number} */ one) => one === reads[0]);
  fill(
    section,
    el(
      'div.why',
      {},
      el('p.kicker', {}, `Why ${result.strategy} lost it`),
      el(
        'h2',
        { id: 'witness-title' },
        `Both read ${same ? reads[0] : value - 1}.`,
        el('br'),
        `Both wrote ${value}.`,
      ),
      el(
        'p.lead',
        {},
        'Two likes were acknowledged, and the count went up by one. ',
        `Between the read and the write of contender ${first}, contender ${other} read the same number.`,
      ),
      result.lost > 1 &&
        el(
          'p.note',
          {},
          `${result.lost} likes vanished in this race. This is how one of them did, as the database saw it.`,
        ),
    ),
    timeline(entries, {
      label: `How ${result.strategy} lost a like`,
      sessions: workers.toSorted().map((/** @type {number} */ worker) => `Contender ${worker}`),
    }),
  );
}
