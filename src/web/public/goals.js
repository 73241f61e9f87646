// @ts-check
import { count, number } from './dom.js';

/**
 * What strategies race for, in words: of one result, what was seen, and what its losses come to.
 *
 * @typedef {{ strategy: string, acknowledged: number, attempted: number, lost: number, final: number, stock: number | null, sold_out: number }} Result
 * @typedef {{ title: string, each: string, missing: (result: Result) => string, refused: (result: Result) => string, exact: string, loss: (result: Result) => string, kept: string, all: string }} Goal
 */

/** By the names of the experiments of a race. @type {Record<string, Goal>} */
export const goals = {
  likes: {
    title: 'Likes',
    each: 'Likes each',
    missing: ({ lost }) => `${count(lost, 'like')} missing`,
    refused: ({ attempted, acknowledged }) => `${number(attempted - acknowledged)} refused, and nothing lost`,
    exact: 'Every like counts',
    loss: ({ strategy, lost, acknowledged }) => `${strategy} lost ${lost} of ${count(acknowledged, 'like')}`,
    kept: 'kept every like',
    all: 'Every like that was acknowledged counts.',
  },
  tickets: {
    title: 'Tickets, for half of the buyers',
    each: 'Buyers each',
    missing: ({ lost }) => `${count(lost, 'buyer')} too many`,
    refused: ({ attempted, acknowledged, sold_out: soldOut }) =>
      `${number(attempted - acknowledged - soldOut)} refused for a conflict, and no ticket sold twice`,
    exact: 'Each ticket sold once',
    loss: ({ strategy, acknowledged, stock }) =>
      `${strategy} sold ${acknowledged} of ${count(stock ?? 0, 'ticket')}`,
    kept: 'sold no ticket twice',
    all: 'No ticket was sold twice.',
  },
};

/** @param {string} experiment @returns {Goal} */
export const goalOf = (experiment) => /** @type {Goal} */ (goals[experiment] ?? goals.likes);
