import t from 'tap';
import { StatementSpotter } from '../../load-tests/fault-test/network/statements.ts';
import { BEGIN, BEGIN_PROBING, COMMIT, type Statement, statementsIn } from '../../src/counters/sql.ts';

/** A message of the client, with its length left out. */
const message = (type: string, ...fields: (string | Buffer)[]) => ({
  type,
  bytes: Buffer.concat([
    Buffer.from(`${type}....`),
    ...fields.map((field) => (typeof field === 'string' ? Buffer.from(`${field}\0`) : field)),
  ]),
});

const parameter = (text: string) => Buffer.concat([Buffer.from([0, 0, 0, text.length]), Buffer.from(text)]);

/** Executes a prepared statement with the parameters `w` and `7`. */
const bind = ({ name }: Statement) =>
  message('B', '', name, Buffer.from([0, 0, 0, 2]), parameter('w'), parameter('7'));

const query = ({ text }: Pick<Statement, 'text'>) => message('Q', text);

const spotAlone = (statement: Statement) => new StatementSpotter().spot(bind(statement));

t.test('the statements of the writer are recognized, and no others', async (t) => {
  const { writeOne, write, writeKeyed, close, lock, apply, ...others } = statementsIn('any_schema');
  for (const statement of [writeOne, write, writeKeyed])
    t.strictSame(spotAlone(statement), { does: 'write', batch: 'w/7' }, statement.name);
  t.strictSame(spotAlone(close), { does: 'close', batch: 'w/7' });
  t.strictSame(spotAlone(lock), { does: 'lock', batch: '' });
  t.strictSame(spotAlone(apply), { does: 'apply', batch: 'w/7' });
  for (const [name, statement] of Object.entries(others)) t.equal(spotAlone(statement), undefined, name);
});

t.test('a commit has the batch of its transaction, and other transactions are not recognized', async (t) => {
  const { lock, read, apply } = statementsIn('safe_counters');
  const spotter = new StatementSpotter();
  const spot = (one: ReturnType<typeof message>) => spotter.spot(one);
  t.equal(spot(query(COMMIT)), undefined);
  t.strictSame(spot(query(BEGIN)), { does: 'begin', batch: '' });
  spot(bind(lock));
  t.equal(spot(bind(read)), undefined);
  t.strictSame(spot(bind(apply)), { does: 'apply', batch: 'w/7' });
  t.strictSame(spot(query(COMMIT)), { does: 'commit', batch: 'w/7' });
  t.equal(spot(query(COMMIT)), undefined);
  spot(query(BEGIN));
  t.equal(spot(query({ text: 'rollback' })), undefined);
  t.equal(spot(query(COMMIT)), undefined);
  const migration =
    'begin isolation level read committed; set local lock_timeout = 60000; set local search_path = pg_catalog';
  for (const text of [migration, BEGIN_PROBING.text]) {
    t.equal(spot(query({ text })), undefined);
    t.equal(spot(query(COMMIT)), undefined);
  }
});
