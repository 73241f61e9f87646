import { Migration } from '@mikro-orm/migrations';
import { COUNTER_EXPIRY } from '../src/counters/tables.ts';

export class CounterExpiry20261129000000 extends Migration {
  override up(): void {
    // An earlier version of the service does not know ends: it goes on counting in a counter that has ended.
    for (const sql of COUNTER_EXPIRY) this.addSql(sql);
  }

  override down(): void {
    this.addSql('alter table counters drop column expires_at');
  }
}
