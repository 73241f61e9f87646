import t from 'tap';
import { parseAddress, serversOf } from '../../src/database/address.ts';
import { newClient } from '../../src/database/driver.ts';

/** The connection settings that the driver takes from each host of an address. */
const places = (address: string) =>
  parseAddress(address).urls.map((url) => {
    const { host, port, user, password, database } = newClient(url, {});
    return { host, port, user, password, database };
  });

t.test('an address with a single host is unchanged', async (t) => {
  for (const address of [
    'postgresql://me:secret@host:5433/db',
    'postgres://me@host/db?sslmode=disable&application_name=x',
    'postgresql:///db',
    'postgresql://[::1]:5433/db',
    'postgresql://me:p%40%2F%3A@%2Frun%2Fpostgresql:5433/db',
    'postgresql://me:a@b@host/db',
  ]) {
    t.strictSame(parseAddress(address), { urls: [address], target: 'any' }, address);
  }
});

t.test('several hosts are parsed, with user, password and database for each', async (t) => {
  const rest = { user: 'me@home', password: 'a:b/c', database: 'my db' };
  t.strictSame(places('postgresql://me%40home:a%3Ab%2Fc@one:5433,two,[::1]:5434,%2Ftmp/my%20db'), [
    { host: 'one', port: 5433, ...rest },
    { host: 'two', port: 5432, ...rest },
    { host: '::1', port: 5434, ...rest },
    { host: '/tmp', port: 5432, ...rest },
  ]);
});

t.test('hosts can be given as a parameter, where socket folders need no encoding', async (t) => {
  const me = { user: 'me', password: 'x', database: 'db' };
  t.strictSame(places('postgresql://me:x@/db?host=/run/postgresql,::1,three&port=5433,,5435'), [
    { host: '/run/postgresql', port: 5433, ...me },
    { host: '::1', port: 5432, ...me },
    { host: 'three', port: 5435, ...me },
  ]);
  t.strictSame(
    places('postgresql://me:x@one,two/db?port=6000').map(({ host, port }) => `${host}:${port}`),
    ['one:6000', 'two:6000'],
    'one port is for all',
  );
});

t.test('target_session_attrs is parsed, and other parameters are passed to the driver', async (t) => {
  for (const target of ['any', 'read-write', 'primary'] as const) {
    const address = `postgresql://a,b/db?sslmode=disable&target_session_attrs=${target}&options=-c%20x%3D1`;
    t.strictSame(parseAddress(address), {
      urls: ['a', 'b'].map((host) => `postgresql://${host}/db?sslmode=disable&options=-c%20x%3D1`),
      target,
    });
  }
  t.equal(parseAddress('postgresql://a/db?target_session_attrs=read%2Dwrite').target, 'read-write');
});

t.test('an error names what is wrong with an address, without a possible password', async (t) => {
  const cases = {
    'mysql://secret@host/db': /^it does not have the allowed form; percent-encode the characters/,
    'postgresql://me:se#cret@host/db': /^it does not have the allowed form/,
    'postgresql://me:se/cret@host/db':
      /^the port of host 1 is not a whole number from 1 to 65535; percent-encode the characters/,
    'postgresql://me:secret@one,,three/db': /^host 2 is empty$/,
    'postgresql://me:secret@one:5432,two:0/db': /^the port of host 2 is not a whole number/,
    'postgresql://me:secret@one:x/db': /^the port of host 1 is not/,
    'postgresql://me:secret@one,::1/db':
      /^host 2 is not a name and a port; .*IPv6 addresses are written in \[\]$/,
    'postgresql://me:secret@one,t%zzo/db': /^host 2 cannot be read; /,
    'postgresql://me:secret@/db': /^host 1 is empty$/,
    'postgresql://me:secret@/db?host=a,b,c&port=1,2': /^it names 3 hosts and 2 ports$/,
    'postgresql://a,b/db?target_session_attrs=standby':
      /^target_session_attrs is "standby", not one of any, read-write, primary$/,
    [`postgresql://me:secret@${Array(17).fill('a').join()}/db`]:
      /^it names 17 hosts; at most 16 are allowed$/,
  };
  for (const [address, message] of Object.entries(cases)) {
    t.throws(() => parseAddress(address), { name: 'AddressError', message }, address);
    t.throws(() => parseAddress(address), { message: /^((?!cret).)*$/ }, address);
  }
});

t.test('servers are printed as host:port', async (t) => {
  t.strictSame(serversOf(parseAddress('postgresql://me:x@one,%2Ftmp,[::1]:6000/db')), [
    'one:5432',
    '/tmp:5432',
    '[::1]:6000',
  ]);
  t.strictSame(serversOf(parseAddress('postgresql:///db')), ['localhost:5432']);
});
