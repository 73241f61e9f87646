// @ts-check

/**
 * Builds an element. Nothing is parsed as HTML: data always becomes text.
 *
 * @param {string} spec a tag with classes: `p.lead.small`
 * @param {Record<string, string | number | boolean | undefined | ((event: any) => void)>} [props] attributes; `onclick` and the like are listeners, false and undefined are left out
 * @param {...(Node | string | number | null | undefined | false)} children
 * @returns {HTMLElement}
 */
export function el(spec, props = {}, ...children) {
  const [tag = 'div', ...classes] = spec.split('.');
  const element = document.createElement(tag);
  if (classes.length > 0) element.classList.add(...classes);
  for (const [name, value] of Object.entries(props)) {
    if (value === undefined || value === false) continue;
    if (typeof value === 'function') {
      element.addEventListener(name.slice(2), value);
    } else element.setAttribute(name, value === true ? '' : String(value));
  }
  put(element, children);
  return element;
}

/**
 * @param {Element} parent
 * @param {readonly (Node | string | number | null | undefined | false)[]} children
 */
function put(parent, children) {
  for (const child of children) {
    if (child || child === 0) parent.append(child instanceof Node ? child : String(child));
  }
}

/** Replaces the content of an element. @type {(parent: Element, ...children: (Node | string | null | undefined | false)[]) => void} */
export function fill(parent, ...children) {
  parent.replaceChildren();
  put(parent, children);
}

/** The element with this id, which must exist. @type {(name: string) => any} */
export const id = (name) => document.getElementById(name);

/** The text with its first letter capitalized. @type {(text: string) => string} */
export const capital = (text) => text.charAt(0).toUpperCase() + text.slice(1);

/** A number with thousands separators. @type {(value: number) => string} */
export const number = (value) => value.toLocaleString('en');

/** One thing, two things. @type {(count: number, one: string, more?: string) => string} */
export const count = (amount, one, more = `${one}s`) => `${number(amount)} ${amount === 1 ? one : more}`;

/** @param {Element} element @param {() => void} then called once, when the element is about to scroll into view */
export function whenNear(element, then) {
  const observer = new IntersectionObserver(
    (seen) => {
      if (!seen.some(({ isIntersecting }) => isIntersecting)) return;
      observer.disconnect();
      then();
    },
    { rootMargin: '200px' },
  );
  observer.observe(element);
}
