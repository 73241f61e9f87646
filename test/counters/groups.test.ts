import t from 'tap';
import { groupsOf } from '../../src/counters/groups.ts';
import { fc } from '../property.ts';

const requests = fc.array(
  fc.array(fc.constantFrom('a', 'b', 'c', 'd', 'e', 'f', 'g', 'h'), { minLength: 1, maxLength: 3 }),
  { maxLength: 12 },
);

t.test(
  'a group has the requests that share counters, directly or through others, in the order of arrival',
  async (t) => {
    fc.assert(
      fc.property(requests, (all) => {
        const groups = groupsOf(all.map((names) => ({ increments: names.map((name) => ({ name, by: 1 })) })));
        t.strictSame(
          groups.flat().toSorted((a, b) => a - b),
          [...all.keys()],
          'each request is in one group',
        );
        // Checked by a traversal: a request that shares a counter with one reached before is reached, too.
        for (const group of groups) {
          const reached = new Set(group.slice(0, 1));
          for (let grown = true; grown; ) {
            const names = new Set([...reached].flatMap((i) => all[i] ?? []));
            const next = [...all.keys()].filter((i) => all[i]?.some((name) => names.has(name)));
            grown = next.length > reached.size;
            for (const i of next) reached.add(i);
          }
          t.strictSame(
            group,
            [...reached].toSorted((a, b) => a - b),
          );
        }
      }),
    );
  },
);
