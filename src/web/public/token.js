// @ts-check
import { id } from './dom.js';

const KEY = 'safe-counters token';

/** The token of this tab, if one was given. */
export const token = () => sessionStorage.getItem(KEY) ?? '';

/** One dialog for all requests that need the token. @type {Promise<boolean> | undefined} */
let asking;

/**
 * Asks the reader for a token, unless there is another one by now.
 *
 * @param {string} refused the one that did not do
 * @returns {Promise<boolean>} whether it is worth another try
 */
export async function newToken(refused) {
  if (token() !== refused) return true;
  asking ??= ask();
  try {
    return await asking;
  } finally {
    asking = undefined;
  }
}

function ask() {
  const dialog = id('token');
  const field = dialog.querySelector('input');
  field.value = '';
  dialog.returnValue = 'cancel';
  dialog.showModal();
  return new Promise((resolve) => {
    dialog.addEventListener(
      'close',
      () => {
        const given = dialog.returnValue === 'use' && field.value !== '';
        if (given) sessionStorage.setItem(KEY, field.value);
        resolve(given);
      },
      { once: true },
    );
  });
}
