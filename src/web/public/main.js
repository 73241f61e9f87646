// @ts-check
import { get } from './api.js';
import { guardButtons, isUnavailable, whenAvailable } from './connection.js';
import { openCounter } from './counter.js';
import { fill, id } from './dom.js';
import { openLabs } from './labs.js';
import { openMatrix } from './matrix.js';
import { openRace } from './race.js';
import { explainTerms } from './terms.js';

explainTerms();
guardButtons();
/** Opens each section, by the id of the element that shows an error. */
const sections = {
  verdict: openRace,
  'matrix-status': openMatrixAndLabs,
  'counter-status': openCounter,
};

for (const [place, open] of Object.entries(sections)) void openSection(place, open);

async function openMatrixAndLabs() {
  const labs = await get('/labs');
  openMatrix(labs);
  openLabs(labs);
}

/** If a section cannot be opened, shows the error, and opens it once the service answers again. @param {string} place @param {() => Promise<void>} open */
async function openSection(place, open) {
  for (;;) {
    try {
      return await open();
    } catch (error) {
      fill(id(place), /** @type {Error} */ (error).message);
      if (!isUnavailable()) return;
      await whenAvailable();
    }
  }
}
