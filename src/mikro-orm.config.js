// JavaScript, because MikroORM's command line loads TypeScript only after a search for other loaders than Node's own, and
// warns if it finds none.
export { default } from './mikro-orm.config.ts';
