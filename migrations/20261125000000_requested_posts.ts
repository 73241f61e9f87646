import { Migration } from '@mikro-orm/migrations';

export class RequestedPosts20261125000000 extends Migration {
  override up(): void {
    // Keys of the posts that are made on request, apart from those that `posts` generates for the service's own: so
    // nobody can change what was not made on request. An earlier version goes on generating all keys.
    this.addSql('create sequence requested_posts as integer start with 1000000000');
  }

  override down(): void {
    this.addSql('drop sequence requested_posts');
  }
}
