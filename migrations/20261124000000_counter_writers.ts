import { Migration } from '@mikro-orm/migrations';
import { COUNTER_WRITERS } from '../src/counters/tables.ts';

export class CounterWriters20261124000000 extends Migration {
  override up(): void {
    // Batches of an earlier version of the service still use counter_receipts.
    for (const sql of COUNTER_WRITERS) this.addSql(sql);
  }

  override down(): void {
    this.addSql('drop table counter_writers');
  }
}
