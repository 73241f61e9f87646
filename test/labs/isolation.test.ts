import t from 'tap';
import { levels } from '../../src/labs/bench/levels.ts';
import { anomalies } from '../../src/labs/isolation/anomalies.ts';
import type { Cells } from '../../src/labs/isolation/anomaly.ts';
import { isolation } from '../../src/labs/isolation/index.ts';
import { testApp, testClient, testDatabase } from '../helper.ts';
import { holdAndLeaveNothing, labContext, leftovers } from './lab-helper.ts';

interface LabAnswer {
  holds: boolean;
  conclusions: {
    anomalies: Record<string, Record<string, string>>;
    phenomena: Record<string, Record<string, string>>;
    as_expected: boolean;
  };
  experiments: {
    experiment: string;
    holds: boolean;
    evidence: { timeline: unknown[]; figures: { cells?: Cells } };
  }[];
}

t.test('POST /labs/isolation answers with both matrices, as expected in every cell', async (t) => {
  const databaseUrl = await testDatabase(t);
  const client = await testClient(t, databaseUrl);
  const app = await testApp(t, {}, databaseUrl);
  const response = await app.inject({ method: 'POST', url: '/labs/isolation' });
  t.equal(response.statusCode, 200);
  const answer = response.json<LabAnswer>();
  t.match(answer, { lab: 'isolation', holds: true, conclusions: { as_expected: true } });

  let cells = 0;
  for (const { name, possible, expected } of anomalies) {
    const answered = answer.experiments.find(({ experiment }) => experiment === name);
    for (const level of levels) {
      const cell = answered?.evidence.figures.cells?.[level];
      const verdict = possible.includes(level) ? 'possible' : 'prevented';
      const seen = expected[level === 'read uncommitted' ? 'read committed' : level];
      t.match(cell, { verdict, seen, as_expected: true }, `${name} at ${level}`);
      t.equal(answer.conclusions.anomalies[name]?.[level], verdict);
      cells += 1;
    }
    t.ok(answered?.evidence.timeline.length);
  }
  t.equal(cells, 14 * 4);
  t.strictSame(answer.conclusions.phenomena, {
    'read uncommitted': {
      'dirty read': 'allowed, but not in PostgreSQL',
      'nonrepeatable read': 'possible',
      'phantom read': 'possible',
      'serialization anomaly': 'possible',
    },
    'read committed': {
      'dirty read': 'not possible',
      'nonrepeatable read': 'possible',
      'phantom read': 'possible',
      'serialization anomaly': 'possible',
    },
    'repeatable read': {
      'dirty read': 'not possible',
      'nonrepeatable read': 'not possible',
      'phantom read': 'allowed, but not in PostgreSQL',
      'serialization anomaly': 'possible',
    },
    serializable: {
      'dirty read': 'not possible',
      'nonrepeatable read': 'not possible',
      'phantom read': 'not possible',
      'serialization anomaly': 'not possible',
    },
  });
  t.match(await leftovers(client), { schemas: 0, transactions: 0 });
});

t.test('the claims hold with other default isolation levels of the session and the database', async (t) => {
  const context = await labContext(t, { ISOLATION_LEVEL: 'serializable' });
  const client = await testClient(t, context.databaseUrl);
  const { rows } = await client.query<{ name: string }>('select current_database() as name');
  await client.query(
    `alter database ${rows[0]?.name} set default_transaction_isolation to 'repeatable read'`,
  );
  const some = new Set(['p4-lost-update', 'uncommitted-row', 'three-places', 'autocommit']);
  await holdAndLeaveNothing(
    t,
    isolation.experiments.filter(({ name }) => some.has(name)),
    context,
  );
});
