import { Migration } from '@mikro-orm/migrations';

export class LikeSlotsAndEntries20261121010000 extends Migration {
  override up(): void {
    this.addSql(`
      create table like_slots (
        post_pk integer not null references posts on delete cascade,
        slot integer not null,
        "like" integer not null,
        primary key (post_pk, slot)
      )`);
    this.addSql(`
      create table like_entries (
        pk bigint generated always as identity primary key,
        post_pk integer not null references posts on delete cascade,
        liked_at timestamptz not null default now()
      )`);
    this.addSql('create index on like_entries (post_pk)');
  }

  override down(): void {
    this.addSql('drop table like_entries');
    this.addSql('drop table like_slots');
  }
}
