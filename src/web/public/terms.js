// @ts-check
import { el, id } from './dom.js';

/** The words that not everybody knows, in words that everybody does. @type {Record<string, string>} */
const TERMS = {
  'lost update':
    'Two read the same value, and both write what follows from it. The second write covers the first.',
  contender:
    'One who adds likes, with a connection to the database of its own. All add to the same post, at once.',
  acknowledged: 'The service has said: done, your like counts.',
  conflict: 'Somebody else was faster: what was read is no longer true, so the write is refused.',
  retry: 'After a conflict: read again, add again, write again.',
  throughput: 'How many likes a second were acknowledged.',
  transaction: 'Several statements that count all together, or not at all.',
  commit: 'The moment at which a transaction counts: from then on it is on disk, and others see it.',
  'isolation level':
    'How far the database keeps transactions apart that run at the same time. There are four.',
  session: 'One connection to the database, served by one process there. It does one thing at a time.',
  'group commit':
    'Likes that wait are written together: one statement, one commit, and everybody is answered after it.',
  cure: 'What to write instead, taken from how this service does it.',
  exact: 'Claims that each like that was acknowledged counts.',
  rejects: 'Claims that likes may be refused, and that each one that was acknowledged counts.',
  loses: 'Claims nothing: likes that were acknowledged vanish.',
  possible: 'It was seen to happen at this level, just now.',
  prevented:
    'It was tried just now, and did not happen: the database kept it out, or refused one of the transactions.',
  40001: 'PostgreSQL’s code for: another transaction was first. Start again, from the read on.',
  '40P01': 'PostgreSQL’s code for a deadlock: two wait for each other, so one of them is refused.',
  '55P03': 'PostgreSQL’s code for: the lock was not free in time.',
  57014: 'PostgreSQL’s code for: the statement took too long and was stopped.',
  '57P01': 'PostgreSQL’s code for: the server has ended this connection.',
  '25P02': 'PostgreSQL’s code for: an earlier statement of this transaction failed, so the rest is refused.',
  '25P03': 'PostgreSQL’s code for: this transaction was left open with nothing to do for too long.',
  22012: 'PostgreSQL’s code for a division by zero.',
  '42P07': 'PostgreSQL’s code for: a table of this name is there already.',
};

/**
 * A word that explains itself when it is pressed, by mouse, finger or keyboard. Without an explanation it is a word.
 *
 * @param {string} name
 * @param {string} [text] how it is written here
 */
export function term(name, text = name) {
  if (!TERMS[name]) return el('span', {}, text);
  return explained(text, TERMS[name]);
}

/** Words that explain themselves when they are pressed. @param {string} text @param {string} explanation */
export const explained = (text, explanation) =>
  el('button.term', { type: 'button', 'data-tip': explanation, 'aria-expanded': 'false' }, text);

/** Makes the words explain themselves that stand in the document, and all that come later. */
export function explainTerms() {
  for (const word of document.querySelectorAll('dfn[data-term]')) {
    word.replaceChildren(term(word.getAttribute('data-term') ?? '', word.textContent ?? ''));
    word.removeAttribute('data-term');
  }
  document.addEventListener('click', (event) => {
    const word = /** @type {Element} */ (event.target).closest('button.term');
    const before = open;
    close();
    if (!(word instanceof HTMLElement)) return;
    // Inside a label or a summary the word explains itself, and does nothing else.
    event.preventDefault();
    if (word !== before) show(word);
  });
  document.addEventListener('keydown', ({ key }) => key === 'Escape' && close());
  document.addEventListener('scroll', close, { passive: true });
}

/** The word whose explanation is shown. @type {HTMLElement | undefined} */
let open;

/** @param {HTMLElement} word */
function show(word) {
  const tip = id('tip');
  tip.showPopover();
  tip.textContent = word.dataset.tip ?? '';
  place(tip, word);
  word.setAttribute('aria-expanded', 'true');
  open = word;
}

function close() {
  if (!open) return;
  open.setAttribute('aria-expanded', 'false');
  open = undefined;
  id('tip').hidePopover();
}

/** Below the word, or above where there is no room, and never outside of the window. @param {HTMLElement} tip @param {HTMLElement} word */
function place(tip, word) {
  const at = word.getBoundingClientRect();
  const { offsetWidth: width, offsetHeight: height } = tip;
  const left = Math.max(8, Math.min(at.left, document.documentElement.clientWidth - width - 8));
  const below = at.bottom + 8;
  const top = below + height > innerHeight ? at.top - height - 8 : below;
  Object.assign(tip.style, { left: `${left}px`, top: `${top}px` });
}
