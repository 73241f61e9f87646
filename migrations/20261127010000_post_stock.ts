import { Migration } from '@mikro-orm/migrations';

export class PostStock20261127010000 extends Migration {
  override up(): void {
    // Null: no maximum. It is a constraint because some strategies add without reading. Existing rows, and posts of an
    // earlier version of the service, have no stock, so no row has to be checked.
    this.addSql('alter table posts add column stock integer');
    this.addSql('alter table posts add constraint posts_stock check ("like" <= stock) not valid');
  }

  override down(): void {
    this.addSql('alter table posts drop column stock');
  }
}
