// @ts-check
import { count, number } from './dom.js';

/**
 * The texts for each kind of race: its fields, the results of a strategy, and the explanation of a loss.
 *
 * @typedef {{ strategy: string, acknowledged: number, attempted: number, lost: number, final: number, stock: number | null, sold_out: number }} Result
 * @typedef {(result: Result) => string} Say
 * @typedef {{ title: string, each: string, missing: Say, refused: Say, exact: string, loss: Say, kept: string, all: string, rate: string, how: string, witness: string, note: (lost: number) => string }} Goal
 */

/** By the names of the experiments of a race. @type {Record<string, Goal>} */
export const goals = {
  likes: {
    title: 'Likes',
    each: 'Likes each',
    missing: ({ lost }) => `${count(lost, 'like')} missing`,
    refused: ({ attempted, acknowledged }) => `${number(attempted - acknowledged)} refused, nothing lost`,
    exact: 'Every like counted',
    loss: ({ strategy, lost, acknowledged }) => `${strategy} lost ${lost} of ${count(acknowledged, 'like')}`,
    kept: 'kept every like',
    all: 'Every acknowledged like was counted.',
    rate: 'Likes per second',
    how: 'lost a like',
    witness: 'Two likes were acknowledged, but the count went up by one.',
    note: (lost) => `${lost} likes were lost in this race. These statements show how one of them was lost.`,
  },
  tickets: {
    title: 'Tickets',
    each: 'Buyers each (tickets for half)',
    missing: ({ lost }) => `${count(lost, 'buyer')} too many`,
    refused: ({ attempted, acknowledged, sold_out: soldOut }) =>
      `${number(attempted - acknowledged - soldOut)} refused because of conflicts, no ticket sold twice`,
    exact: 'Each ticket sold once',
    loss: ({ strategy, acknowledged, final }) =>
      `${strategy} sold ${count(final, 'ticket')} to ${count(acknowledged, 'buyer')}`,
    kept: 'sold no ticket twice',
    all: 'No ticket was sold twice.',
    rate: 'Tickets per second',
    how: 'sold a ticket twice',
    witness: 'Two buyers got the same ticket.',
    note: (lost) =>
      `${lost} buyers got a ticket that was already sold. These statements show how one of them did.`,
  },
};

/** @param {string} experiment @returns {Goal} */
export const goalOf = (experiment) => /** @type {Goal} */ (goals[experiment] ?? goals.likes);
