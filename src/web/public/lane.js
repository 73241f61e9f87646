// @ts-check
import { el, fill, number } from './dom.js';
import { goalOf } from './goals.js';
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
    this.acknowledged.style.width = `${Math.min(100, (100 * acknowledged) / this.expected)}%`;
    this.counted.style.width = `${(100 * likes) / this.expected}%`;
  }

  /** @param {import('./goals.js').Result & { experiment: string, verdict: string, holds: boolean | null }} result */
  end(result) {
    const { experiment, final, acknowledged, verdict, holds } = result;
    const goal = goalOf(experiment);
    this.progress({ likes: final, acknowledged });
    this.element.classList.remove('on');
    this.element.classList.add('over');
    this.element.dataset.verdict = verdict;
    const seen = {
      loses: goal.missing(result),
      rejects: goal.refused(result),
      exact: goal.exact,
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
