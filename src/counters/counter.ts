import { defineEntity, p } from '@mikro-orm/core';

const CounterSchema = defineEntity({
  name: 'Counter',
  tableName: 'counters',
  properties: {
    name: p.text().primary(),
    // A number, not a bigint: the range below is a constraint of the table.
    value: p.bigint('number'),
  },
});

/** A number with a name. */
export class Counter extends CounterSchema.class {}
CounterSchema.setClass(Counter);

/** The highest value; the lowest is its negative. Beyond it JSON, as most programs read it, loses digits. */
export const VALUE_MAX = Number.MAX_SAFE_INTEGER;
