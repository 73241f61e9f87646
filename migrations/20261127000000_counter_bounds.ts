import { Migration } from '@mikro-orm/migrations';
import { COUNTER_BOUNDS } from '../src/counters/tables.ts';

export class CounterBounds20261127000000 extends Migration {
  override up(): void {
    // An earlier version of the service does not know bounds: it refuses violations as out of range.
    for (const sql of COUNTER_BOUNDS) this.addSql(sql);
  }

  override down(): void {
    this.addSql('alter table counters drop column min, drop column max');
  }
}
