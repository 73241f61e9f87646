// @ts-check
import { post } from './api.js';
import { capital, el, fill } from './dom.js';
import { findings } from './findings.js';
import { timeline } from './timeline.js';

/** One experiment: its claim, a button that runs it, the observations, and code that avoids the problem. */
export class Experiment {
  /** @param {string} lab @param {import('./labs.js').About} about */
  constructor(lab, { experiment, claim, cure }) {
    this.lab = lab;
    this.name = experiment;
    this.title = capital(experiment.replaceAll('-', ' '));
    this.verdict = el('p.seen', { role: 'status' });
    this.findings = el('div.decided');
    this.evidence = el('div.evidence');
    this.button = el(
      'button',
      { type: 'button', 'data-acts': true, 'aria-label': `Run ${this.title}` },
      'Run',
    );
    this.button.addEventListener('click', () => void this.run());
    this.cure = cure
      ? el(
          'details.cure',
          {},
          el('summary', {}, 'The fix'),
          el('pre', { tabindex: '0' }, el('code', {}, cure)),
        )
      : null;
    this.element = el(
      'article.experiment',
      { 'data-name': `${lab}/${experiment}` },
      el('div.about', {}, el('h3', {}, this.title), el('p', {}, claim), this.verdict),
      this.button,
      el('div.more', {}, this.findings, this.cure, this.evidence),
    );
  }

  async run() {
    this.running();
    try {
      this.show(await post(`/labs/${this.lab}/${this.name}`));
    } catch (error) {
      this.refused(/** @type {Error} */ (error).message);
    }
  }

  running() {
    this.button.setAttribute('disabled', '');
    delete this.verdict.dataset.holds;
    fill(this.verdict, 'Running …');
  }

  /** @param {string} sentence */
  refused(sentence) {
    this.button.removeAttribute('disabled');
    fill(this.verdict, sentence);
  }

  /** @param {any} result */
  show({ holds, evidence }) {
    const hadFocus = document.activeElement === document.body;
    this.button.removeAttribute('disabled');
    this.button.textContent = 'Run again';
    this.button.setAttribute('aria-label', `Run again: ${this.title}`);
    this.verdict.dataset.holds = String(holds);
    const { verdict } = evidence.figures;
    const words = holds === null ? 'Not supported here' : holds ? 'Holds' : 'Does not hold here';
    fill(this.verdict, el('b', {}, words), verdict ? `: ${verdict}.` : '.');
    fill(this.findings, findings(evidence.figures));
    fill(this.evidence, timeline(evidence.timeline, { label: `Timeline: ${this.title}` }));
    this.cure?.setAttribute('open', '');
    this.element.classList.add('open');
    // A button loses the focus when it is disabled.
    if (hadFocus) this.button.focus({ preventScroll: true });
  }
}
