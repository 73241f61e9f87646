// @ts-check
import { el, id } from './dom.js';
import { meaningOf } from './glossary.js';

/**
 * A word that explains itself when it is pressed, by mouse, finger or keyboard. Without an explanation it is a word.
 *
 * @param {string} name
 * @param {string} [text] how it is written here
 */
export function term(name, text = name) {
  const meaning = meaningOf(name);
  return meaning ? explained(text, meaning) : el('span', {}, text);
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
