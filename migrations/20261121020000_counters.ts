import { Migration } from '@mikro-orm/migrations';
import { COUNTERS } from '../src/counters/tables.ts';

export class Counters20261121020000 extends Migration {
  override up(): void {
    for (const sql of COUNTERS) this.addSql(sql);
    // One row for each batch of increments, written in its transaction. After a lost answer, the service reads here
    // whether the batch was committed, and its values. The lowest and highest intermediate values must be in range, too.
    this.addSql(`
      create table counter_receipts (
        batch uuid primary key,
        "values" bigint[] not null,
        lowest bigint not null check (lowest >= -9007199254740991),
        highest bigint not null check (highest <= 9007199254740991),
        expires_at timestamptz not null
      )`);
    this.addSql('create index on counter_receipts (expires_at)');
  }

  override down(): void {
    this.addSql('drop table idempotency_keys');
    this.addSql('drop table counter_receipts');
    this.addSql('drop table counters');
  }
}
