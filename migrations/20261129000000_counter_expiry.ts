import { Migration } from '@mikro-orm/migrations';
import { COUNTER_EXPIRY } from '../src/counters/tables.ts';

export class CounterExpiry20261129000000 extends Migration {
  override up(): void {
    // An earlier version of the service does not know ends: it goes on counting in a counter that has ended.
    for (const sql of COUNTER_EXPIRY) this.addSql(sql);
  }

  override down(): void {
    // Without an end, counters that have ended would exist again, and so would those of windows.
    this.addSql(`delete from counters where expires_at <= now() or name < ' '`);
    this.addSql('alter table counters drop column expires_at');
  }
}
