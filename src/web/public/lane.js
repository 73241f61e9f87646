// @ts-check
import { count, el, fill, number } from './dom.js';
import { term } from './terms.js';

/** The progress of one strategy towards the expected count. */
export class Lane {
  /** @param {{ name: string, summary: string, claim: string }} strategy */
  constructor({ name, summary, claim }) {
    this.likes = el('b.likes', {}, '0');
    this.of = el('span.of');
    this.counted = el('span.counted');
    this.acknowledged = el('span.acknowledged');
    this.result = el('p.result');
    this.element = el(
      'li.lane',
      { 'data-strategy': name, 'data-claim': claim },
      el('div.title', {}, el('h2.name', {}, name), this.result),
      el('p.count', {}, this.likes, this.of),
      el('div.track', { 'aria-hidden': 'true' }, this.acknowledged, this.counted),
      el('p.summary', {}, summary),
    );
    this.expected = 1;
  }

  /** @param {number} expected */
  start(expected) {
    this.expected = expected;
    this.element.classList.add('on');
    fill(this.of, ` of ${number(expected)}`);
  }

  /** @param {{ likes: number, acknowledged: number }} progress */
  progress({ likes, acknowledged }) {
    fill(this.likes, number(likes));
    this.acknowledged.style.width = `${(100 * acknowledged) / this.expected}%`;
    this.counted.style.width = `${(100 * likes) / this.expected}%`;
  }

  /** @param {{ final: number, acknowledged: number, attempted: number, lost: number, verdict: string, holds: boolean | null }} result */
  end({ final, acknowledged, attempted, lost, verdict, holds }) {
    this.progress({ likes: final, acknowledged });
    this.element.classList.remove('on');
    this.element.classList.add('over');
    this.element.dataset.verdict = verdict;
    const refused = attempted - acknowledged;
    const seen = {
      loses: `${count(lost, 'like')} missing`,
      rejects: `${number(refused)} refused, nothing lost`,
      exact: 'Every like counted',
      inconclusive: 'Too slow to tell',
    }[verdict];
    fill(
      this.result,
      el('b', {}, seen ?? verdict),
      holds !== false ? null : ' (unexpected)',
      ' · ',
      term(verdict),
    );
  }
}
