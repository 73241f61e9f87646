import { mkdir } from 'node:fs/promises';
import { dirname } from 'node:path';
import { runCommand } from '../../src/command-line/command.ts';
import { flag, type Given, type Option, part, path, whole } from '../../src/command-line/option.ts';
import { print } from '../../src/command-line/progress.ts';
import { table } from '../../src/command-line/table.ts';
import { violationsText } from '../fault-test/report.ts';
import { plural } from '../shared/plural.ts';
import { type Way, ways } from './cluster/entrance.ts';
import { controlRows, isAsExpected, runControls } from './control.ts';
import { faults } from './faults/index.ts';
import { findPrograms, type Programs, requireV2, versionsOf } from './programs.ts';
import { holds, runSession, writeJson } from './session.ts';
import { sumOf, tallyTable } from './tally.ts';
import { timingText } from './timing.ts';

const partOfName: Option<string | undefined> = {
  value: 'TEXT',
  about: 'only the faults whose names contain this text',
  allowed: `a part of one of these: ${faults.map(({ name }) => name).join('; ')}`,
  read: (given) => (faults.some(({ name }) => name.includes(given)) ? given : undefined),
};

const wayOfService: Option<Way | undefined> = {
  ...part(...ways),
  value: 'WAY',
  about:
    'how the service reaches the primary: haproxy, pgbouncer or hosts (no proxy); by default, rounds alternate',
};

const options = {
  rounds: whole('the number of times to inject each fault', 1, 1000, 20),
  replicas: whole('the number of service processes', 1, 16, 3),
  clients: whole('the number of concurrent callers', 1, 1000, 32),
  seed: whole('determines the order of the faults; random by default', 0, 2 ** 32 - 1),
  only: partOfName,
  way: wayOfService,
  control: flag('only the positive control: the checker has to find what asynchronous replication loses'),
  journal: path(
    'FILE',
    'where to write the journal of requests and answers; the number of the round is appended',
    'load-tests/results/failover.journal',
  ),
  json: path('FILE', 'also writes the figures as JSON'),
  logs: path('FOLDER', "keeps the logs of the cluster's programs there"),
};

await runCommand({
  name: 'failover-test',
  about: `Starts a Patroni cluster (etcd, three nodes, strict synchronous replication), increments counters while it kills,
stops and disconnects parts of the cluster, and compares the acknowledged increments with the counts. Needs Debian's etcd,
Patroni, HAProxy, PgBouncer and PostgreSQL. Without options, it takes about 70 minutes.`,
  example: '--rounds 1 --only switchover',
  options,
  variables: {
    POSTGRES_BIN: 'a folder with postgres, pg_basebackup and pg_rewind; default: the newest in /usr/lib',
  },
  exitCodes: {
    1: 'an increment is lost or counted twice, an answer is wrong, or a fault could not be injected',
  },
  async run({ seed = Math.floor(Math.random() * 2 ** 32), ...given }, signal) {
    const programs = await findPrograms();
    const versions = await versionsOf(programs);
    requireV2(versions.etcd);
    const named = Object.entries(versions).map(([name, version]) => `${name} ${version}`);
    print(`${named.join(', ')}, with etcd's v2 protocol\n${timingText}\n`);
    await mkdir(dirname(given.journal), { recursive: true });
    const asked = { ...given, seed, programs, versions };
    return given.control ? controls(asked, signal) : failoverTest(asked, signal);
  },
});

type Asked = Given<typeof options> & { seed: number; programs: Programs; versions: Record<string, string> };

async function failoverTest(asked: Asked, signal: AbortSignal): Promise<boolean> {
  const { seed, rounds, replicas, journal, versions } = asked;
  const session = await runSession({ ...asked, signal });
  const { tally, violations, missed, failure, elapsedMs } = session;
  print(tallyTable(tally));
  for (const text of missed) print(`not injected: ${text}`);
  if (violations.length > 0) print(violationsText(violations));
  if (failure !== undefined) print(`ended early: ${failure}`);
  if (asked.json) await writeJson(asked.json, session, { seed, rounds, versions });
  const { lost, doubled, acknowledged } = sumOf(tally);
  print(
    `\n${lost} lost, ${doubled} doubled, ${plural(violations.length, 'rule')} broken: ${plural(acknowledged, 'increment')} acknowledged by ` +
      `${plural(replicas, 'replica')} in ${Math.round(elapsedMs / 1000)} s, seed ${seed}; to check a round again: ` +
      `npm run fault-test -- --check ${journal}.1`,
  );
  return holds(session);
}

async function controls(asked: Asked, signal: AbortSignal): Promise<boolean> {
  const found = await runControls({ ...asked, signal });
  print(table(['', 'replication', 'lost', 'doubled', 'rules broken'], controlRows(found)));
  return found.every(isAsExpected);
}
