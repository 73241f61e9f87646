import { Migration } from '@mikro-orm/migrations';
import { COUNTER_EXPIRY } from '../src/counters/tables.ts';

export class CounterExpiry20261129000000 extends Migration {
  override up(): void {
    // An earlier version of the service does not know expiry: it goes on counting in an expired counter.
    for (const sql of COUNTER_EXPIRY) this.addSql(sql);
  }

  override down(): void {
    // Without an expiry, expired counters would exist again, and the buckets of windows would be kept and listed.
    this.addSql(`delete from counters where expires_at <= now() or name < ' '`);
    this.addSql('alter table counters drop column expires_at');
  }
}
