import { Type } from 'typebox';
import { eventStream, sseEvent } from '../../http/sse.ts';
import { BULK_MAX, CHARACTER, NAME_MAX, PAGE_MAX, VALUE_MAX } from '../counter.ts';
import { WINDOWS_MAX } from '../windows.ts';

const name = Type.String({
  minLength: 1,
  maxLength: NAME_MAX,
  pattern: `^${CHARACTER}+$`,
  description: `1 to ${NAME_MAX} characters, without control characters; compared code point by code point`,
  examples: ['likes'],
});

/** Has no bounds: an integer out of range is answered with 422 by the handler, which says more than a 400 of the schema. */
const amount = (description: string) => Type.Integer({ description });

const value = amount(`The value of the counter, from -${VALUE_MAX} to ${VALUE_MAX}`);

const counter = Type.Object({ name: Type.String({ description: 'The name of the counter' }), value });

const bound = (description: string) => Type.Optional(Type.Integer({ description }));

const boundedCounter = Type.Object({
  ...counter.properties,
  min: bound('The lowest value that the counter may have, if it has a lower bound'),
  max: bound('The highest value that the counter may have, if it has an upper bound'),
  expires_at: Type.Optional(
    Type.String({
      description: 'The time from which the counter does not exist (RFC 3339, UTC), if it expires',
      examples: ['2027-01-31T12:00:00.000Z'],
    }),
  ),
});

const boundedExample = { name: 'tickets', value: 98, min: 0, max: 100 };

const window = (description: string) => Type.String({ description, examples: ['1h'] });

export const counterParams = Type.Object({ name });

export const counterAnswer = (description: string) =>
  Type.Object(boundedCounter.properties, { description, examples: [boundedExample] });

export const putAnswer = (description: string) =>
  Type.Object(
    {
      ...boundedCounter.properties,
      replaced: Type.Optional(
        Type.Integer({ description: 'The value that was replaced; missing if the counter did not exist' }),
      ),
    },
    { description, examples: [{ ...boundedExample, replaced: 41 }] },
  );

const incrementFields = {
  by: Type.Optional(amount('The amount to add, 1 by default; negative to subtract')),
  min: bound(
    "The lowest value that this increment may lead to, in addition to the counter's own bounds; with `window`, the lowest value of the window",
  ),
  max: bound(
    "The highest value that this increment may lead to, in addition to the counter's own bounds; with `window`, the highest value of the window",
  ),
  window: Type.Optional(
    window(
      'Count in the current window of this length (1 to 9999 followed by s, m, h or d) instead of in the counter itself',
    ),
  ),
};

export const incrementBody = Type.Object(
  {
    ...incrementFields,
    partial: Type.Optional(
      Type.Boolean({
        description:
          'Whether to add as much of the amount as the bounds allow, possibly nothing; by default all or nothing',
      }),
    ),
  },
  { additionalProperties: false, examples: [{ by: 1 }] },
);

export const incrementAnswer = Type.Object(
  {
    ...counter.properties,
    added: Type.Optional(
      Type.Integer({ description: 'The amount that was added, if the request was `partial`' }),
    ),
  },
  {
    description:
      'The value of the counter, or of its window, after the increment, which has been committed. A counter that did not exist started at 0',
    examples: [{ name: 'likes', value: 42 }],
  },
);

export const bulkBody = Type.Array(
  Type.Object({ name, ...incrementFields }, { additionalProperties: false }),
  {
    minItems: 1,
    maxItems: BULK_MAX,
    examples: [[{ name: 'likes' }, { name: 'views', by: 10 }]],
  },
);

export const bulkAnswer = Type.Array(counter, {
  description: 'The value after each increment, in the order of the request',
  examples: [
    [
      { name: 'likes', value: 42 },
      { name: 'views', value: 1042 },
    ],
  ],
});

const newBound = (description: string) =>
  Type.Optional(Type.Union([Type.Integer(), Type.Null()], { description }));

export const putBody = Type.Object(
  {
    value: Type.Optional(
      amount('The new value; if not given, it does not change, and a new counter starts at 0'),
    ),
    min: newBound('The new lower bound; null: no bound; if not given, it does not change'),
    max: newBound('The new upper bound; null: no bound; if not given, it does not change'),
    expires_at: Type.Optional(
      Type.Union([Type.String(), Type.Null()], {
        description:
          'The time from which the counter does not exist (RFC 3339, kept to the millisecond); null: never; if not given, it does not change',
      }),
    ),
  },
  {
    additionalProperties: false,
    minProperties: 1,
    examples: [{ value: 42, min: 0, max: 100 }],
  },
);

const part = (description: string) =>
  Type.Optional(Type.String({ maxLength: NAME_MAX, pattern: `^${CHARACTER}*$`, description }));

export const listQuery = Type.Object(
  {
    name: Type.Optional(
      Type.Array(name, {
        minItems: 1,
        maxItems: PAGE_MAX,
        description:
          'Only these counters, in this order, all as of one moment; cannot be combined with the other parameters',
        examples: [['likes', 'tickets']],
      }),
    ),
    prefix: part('Only counters whose names begin with this prefix'),
    after: part('The name after which the page begins: `next` of the previous page'),
    limit: Type.Optional(
      Type.Integer({
        minimum: 1,
        maximum: PAGE_MAX,
        description: 'The most counters on a page; 100 by default',
      }),
    ),
  },
  { additionalProperties: false },
);

export const listAnswer = Type.Object(
  {
    counters: Type.Array(boundedCounter, { description: 'The counters of this page' }),
    next: Type.Union([Type.String(), Type.Null()], {
      description: 'The value of `after` for the next page; null on the last page',
    }),
  },
  {
    description:
      'A page of counters, ordered by the code points of their names; or those of the requested counters that exist',
    examples: [{ counters: [{ name: 'likes', value: 42 }, boundedExample], next: null }],
  },
);

export const windowParams = Type.Object({
  name,
  window: window('The length of the windows: 1 to 9999 followed by s, m, h or d'),
});

export const windowQuery = Type.Object(
  {
    last: Type.Optional(
      Type.Integer({
        minimum: 1,
        maximum: WINDOWS_MAX,
        description: 'How many windows, including the current one; 1 by default',
      }),
    ),
  },
  { additionalProperties: false },
);

export const windowAnswer = Type.Object(
  {
    name: counter.properties.name,
    window: Type.String({ description: 'The length of the windows' }),
    windows: Type.Array(
      Type.Object({
        start: Type.String({ description: 'When the window begins (RFC 3339, UTC)' }),
        value: amount('The sum of the increments in the window'),
      }),
      { description: 'The windows, the current one first; a window without an increment has 0' },
    ),
  },
  {
    description: 'The count of each of the last windows',
    examples: [
      {
        name: 'likes',
        window: '1h',
        windows: [
          { start: '2026-11-29T15:00:00.000Z', value: 42 },
          { start: '2026-11-29T14:00:00.000Z', value: 97 },
        ],
      },
    ],
  },
);

export const eventsAnswer = eventStream(
  'Events: `value` at once and after each change (null: the counter does not exist); `problem` while the counter cannot be read',
  sseEvent('value', { name: 'likes', value: 42 }),
);

/** Without a pattern, for the description only: the handler validates the key and explains the error better. */
const idempotencyKey = Type.Optional(
  Type.String({
    description:
      'A unique key for this request, preferably a UUID: however often the request is sent, it counts once. Keys apply to all counters; callers with the same token share them, as do all callers without a token',
  }),
);

export const incrementHeaders = Type.Object({ 'idempotency-key': idempotencyKey });

const etag = (description: string, examples: string[] = []) =>
  Type.Optional(Type.String({ description, ...(examples.length > 0 ? { examples } : {}) }));

export const readHeaders = Type.Object({
  'if-none-match': etag('ETags known to the client; if one of them is current, the answer is 304'),
});

export const changeHeaders = Type.Object({
  'if-match': etag('The ETag that the counter must have; `*`: the counter must exist', [
    '"42"',
    '"98:0:100"',
  ]),
  'if-none-match': etag('`*`: the counter must not exist'),
});

export const putHeaders = Type.Object({ ...changeHeaders.properties, 'idempotency-key': idempotencyKey });
