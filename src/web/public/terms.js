// @ts-check
import { el, id } from './dom.js';
import { PLAIN, TERMS } from './glossary.js';

/** By how they are written. @type {Map<string, string>} */
const NAMES = new Map(Object.keys(TERMS).map((name) => [name.toLowerCase(), name]));

/** Any of them, the longest first. */
const WORDS = new RegExp(
  `\\b(${Object.keys(TERMS)
    .filter((name) => !PLAIN.has(name))
    .toSorted((a, b) => b.length - a.length)
    .join('|')})\\b`,
  'i',
);

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

/**
 * A text in which the words that not everybody knows explain themselves, each the first time it comes.
 *
 * @param {string} text
 * @param {Set<string>} [known] what has been explained nearby
 * @returns {(Node | string)[]}
 */
export function withTerms(text, known = new Set()) {
  return text.split(WORDS).map((part) => {
    const name = NAMES.get(part.toLowerCase());
    if (!name || known.has(name)) return part;
    known.add(name);
    return term(name, part);
  });
}

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
