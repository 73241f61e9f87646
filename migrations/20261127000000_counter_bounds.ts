import { Migration } from '@mikro-orm/migrations';

export class CounterBounds20261127000000 extends Migration {
  override up(): void {
    // Null: none. A constraint, so that the bounds hold whatever writes, including an earlier version of the service: it
    // does not know bounds, and refuses what would leave them as out of range. Existing rows have none, so that they need
    // not be checked while the table is locked.
    this.addSql('alter table counters add column min bigint, add column max bigint');
    this.addSql(`
      alter table counters add constraint counters_bounds check (
        value between min and max and min >= -9007199254740991 and max <= 9007199254740991
      ) not valid`);
  }

  override down(): void {
    this.addSql('alter table counters drop column min, drop column max');
  }
}
