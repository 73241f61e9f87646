import { Migration, Migrator } from '@mikro-orm/migrations';
import type { MikroORM } from '@mikro-orm/postgresql';
import { ending } from '../bench/outcome.ts';
import { closeGate, PASS_GATE } from '../bench/barriers.ts';
import { blocked } from '../bench/observer.ts';
import type { Scratch } from '../bench/scratch.ts';
import { experimentOf } from './trap.ts';

/** Waits for the gate, so that all processes have listed the pending migrations before one of them runs them. */
class CreateThings extends Migration {
  override up(): void {
    this.addSql(PASS_GATE);
    this.addSql('create table things (pk integer primary key)');
  }
}

/** Three processes start at once and migrate. */
async function threeMigrate(scratch: Scratch, migrate: (orm: MikroORM) => Promise<unknown>) {
  const migrations = { migrationsList: [{ name: 'things', class: CreateThings }], snapshot: false };
  const orms = [1, 2, 3].map((process) => {
    // Otherwise the migrator looks for its table in the schema `public`, and ignores the search path.
    const { schema } = scratch;
    const discovery = { warnWhenNoEntities: false };
    const options = { extensions: [Migrator], migrations, schema, discovery };
    return scratch.orm([], { name: `process ${process}` }, options);
  });
  await scratch.outside.query('drop table if exists things, mikro_orm_migrations');
  const openGate = await closeGate(scratch);
  let ended = 0;
  const ends = Promise.allSettled(
    orms.map((orm) =>
      migrate(orm).finally(() => {
        ended += 1;
      }),
    ),
  );
  // One waits at the gate; the others wait as well, or have failed already, at the migrator's own table.
  await scratch.observer.until((backends) => blocked(backends).length + ended === 3);
  await openGate();
  return { processes: (await ends).map(ending) };
}

/** As src/database/migrate.ts does it. */
const migrateUnderLock = (orm: MikroORM) =>
  orm.em.fork().transactional(async (em) => {
    await em.execute('select pg_advisory_xact_lock(1, hashtext(current_schema()))');
    await orm.migrator.up({ transaction: em.getTransactionContext() });
  });

export const unlockedMigrations = experimentOf({
  name: 'unlocked-migrations',
  claim: 'The migrator takes no lock: of three processes that start at once, one migrates and two fail.',
  expectation: 'One process migrates; the others wait and then find nothing to do.',
  guard: 'The migrator runs inside a transaction that holds an advisory lock.',
  cure: `
await orm.em.fork().transactional(async (em) => {
  await em.execute('select pg_advisory_xact_lock(4157112103)');
  await orm.migrator.up({ transaction: em.getTransactionContext() });
});`,
  async fallInto(scratch) {
    const figures = await threeMigrate(scratch, (orm) => orm.migrator.up());
    return { seen: figures.processes.filter((end) => end === 'done').length === 1, figures };
  },
  async avoid(scratch) {
    const figures = await threeMigrate(scratch, migrateUnderLock);
    return { seen: figures.processes.every((end) => end === 'done'), figures };
  },
});
