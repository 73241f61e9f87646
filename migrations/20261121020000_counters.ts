import { Migration } from '@mikro-orm/migrations';

export class Counters20261121020000 extends Migration {
  override up(): void {
    // Room on each page, so that a new version of a row stays beside the old one and no index has to know (HOT).
    // The range is what JSON carries without losing a digit.
    this.addSql(`
      create table counters (
        name text collate "C" primary key,
        value bigint not null check (value between -9007199254740991 and 9007199254740991)
      ) with (fillfactor = 70)`);
    // One row for each batch of increments, written with it: who lost the answer finds here whether it was
    // committed, and what the values were. The lowest and highest value on the way must be in range, too.
    this.addSql(`
      create table counter_receipts (
        batch uuid primary key,
        "values" bigint[] not null,
        lowest bigint not null check (lowest >= -9007199254740991),
        highest bigint not null check (highest <= 9007199254740991),
        expires_at timestamptz not null
      )`);
    this.addSql('create index on counter_receipts (expires_at)');
    this.addSql(`
      create table idempotency_keys (
        key text collate "C" primary key,
        request text collate "C" not null,
        "values" bigint[] not null,
        expires_at timestamptz not null
      )`);
    this.addSql('create index on idempotency_keys (expires_at)');
  }

  override down(): void {
    this.addSql('drop table idempotency_keys');
    this.addSql('drop table counter_receipts');
    this.addSql('drop table counters');
  }
}
