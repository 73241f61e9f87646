import { Migration } from '@mikro-orm/migrations';

export class PostStock20261127010000 extends Migration {
  override up(): void {
    // Null: as many likes as there are. A constraint for those who add without reading; what an earlier version of the
    // service makes has no stock. Rows from before have none, so that there is nothing to look through.
    this.addSql('alter table posts add column stock integer');
    this.addSql('alter table posts add constraint posts_stock check ("like" <= stock) not valid');
  }

  override down(): void {
    this.addSql('alter table posts drop column stock');
  }
}
