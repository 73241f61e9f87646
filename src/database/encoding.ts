/** Why names cannot be stored in a database with this encoding; undefined: they can. */
export const unsuitableEncoding = (encoding: string): string | undefined =>
  /^(UTF8|SQL_ASCII)$/.test(encoding)
    ? undefined
    : `the encoding of the database is ${encoding}, which does not have all characters; allowed: UTF8 (create database … encoding 'UTF8' template template0)`;
