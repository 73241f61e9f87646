import { Migration } from '@mikro-orm/migrations';

export class RequestedPosts20261125000000 extends Migration {
  override up(): void {
    // Keys of posts that requests create, separate from the generated keys of the service's own posts, so that requests
    // cannot change the latter. An earlier version continues to use generated keys for all posts.
    this.addSql('create sequence requested_posts as integer start with 1000000000');
  }

  override down(): void {
    this.addSql('drop sequence requested_posts');
  }
}
