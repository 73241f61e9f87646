// @ts-check
import { id } from './dom.js';

const KEY = 'safe-counters token';

/** The token of this tab; empty if none was entered. */
export const token = () => sessionStorage.getItem(KEY) ?? '';

/** One dialog shared by all requests that need the token. @type {Promise<boolean> | undefined} */
let asking;

/**
 * Asks the user for a token, unless a new one has been entered in the meantime.
 *
 * @param {string} refused the token that was not accepted
 * @returns {Promise<boolean>} whether a retry is worthwhile
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
