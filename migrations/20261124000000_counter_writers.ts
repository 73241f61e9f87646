import { Migration } from '@mikro-orm/migrations';

export class CounterWriters20261124000000 extends Migration {
  override up(): void {
    // One row for each batch that the service writes at a time. It says which batch was applied last and what the
    // values were, so that a lost answer can be found out. Updated with every batch: room on each page keeps the new
    // version beside the old one (HOT). Batches of an earlier version of the service still use counter_receipts.
    this.addSql(`
      create table counter_writers (
        id uuid primary key,
        seq bigint not null,
        "values" bigint[] not null default '{}',
        written_at timestamptz not null default now()
      ) with (fillfactor = 20)`);
  }

  override down(): void {
    this.addSql('drop table counter_writers');
  }
}
