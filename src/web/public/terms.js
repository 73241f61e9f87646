// @ts-check
import { el, id } from './dom.js';
import { meaningOf } from './glossary.js';

/**
 * A term that shows its explanation when it is pressed; plain text if there is no explanation.
 *
 * @param {string} name
 * @param {string} [text] what to display instead of the name
 */
export function term(name, text = name) {
  const meaning = meaningOf(name);
  return meaning ? explained(text, meaning) : el('span', {}, text);
}

/** A term that shows its explanation when it is pressed. @param {string} text @param {string} explanation */
export const explained = (text, explanation) =>
  el('button.term', { type: 'button', 'data-tip': explanation, 'aria-expanded': 'false' }, text);

/** Activates the terms in the document, and those that are added later. */
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
    // Inside a label or a summary, the press must not trigger the surrounding control.
    event.preventDefault();
    if (word !== before) show(word);
  });
  document.addEventListener('keydown', ({ key }) => key === 'Escape' && close());
  document.addEventListener('scroll', close, { passive: true });
}

/** The term whose explanation is open. @type {HTMLElement | undefined} */
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

/** Places the tip below the word, or above if there is no room, and within the window. @param {HTMLElement} tip @param {HTMLElement} word */
function place(tip, word) {
  const at = word.getBoundingClientRect();
  const { offsetWidth: width, offsetHeight: height } = tip;
  const left = Math.max(8, Math.min(at.left, document.documentElement.clientWidth - width - 8));
  const below = at.bottom + 8;
  const top = below + height > innerHeight ? at.top - height - 8 : below;
  Object.assign(tip.style, { left: `${left}px`, top: `${top}px` });
}
