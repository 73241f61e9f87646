/** The kinds of server to connect to, in libpq's terms (`target_session_attrs`). `any` is the default, as in libpq. */
export const targets = ['any', 'read-write', 'primary'] as const;
export type Target = (typeof targets)[number];

/** The servers of the database, and the kind of server to connect to. */
export interface DatabaseAddress {
  /** One address for each host, in their order, in the form that the driver accepts. */
  urls: readonly [string, ...string[]];
  /** Any server, one that accepts writes, or one that is not a standby. */
  target: Target;
}

/** An invalid address. The message never contains its beginning, which can contain a password. */
export class AddressError extends Error {
  override name = 'AddressError';
}

export const ADDRESS_FORM =
  'postgresql://user:password@host:port/database; with several hosts host:port,host:port and ?target_session_attrs=read-write';

/** A limit, because all hosts are asked at the same time. */
const HOSTS_MAX = 16;

const ADDRESS =
  /^(?<scheme>postgres(?:ql)?:\/\/)(?<user>[^/?#]*@)?(?<hosts>[^/?#@]*)(?<path>\/[^?#]*)?(?:\?(?<query>[^#]*))?$/;

/** A name, an address, `[` an IPv6 address `]`, or the folder of a socket in percent-encoding; and a port. */
const HOST = /^(?<host>\[[^\]]*\]|[^:[\]]*)(?::(?<port>[^:]*))?$/;

/** Parameters that name hosts: they are removed, because the driver supports only a single host. */
const HOST_PARAMETERS = /^(host|port|target_session_attrs)=/;

const ENCODE = 'percent-encode the characters : / ? # @ , and % in a name or a password';

/**
 * Reads an address as libpq does, with any number of hosts: `host1:5432,host2` before the path, or `?host=` and `?port=`
 * as lists. All other parameters are passed to the driver. Source: PostgreSQL documentation, 34.1.1.2 and 34.1.1.3.
 *
 * @throws {AddressError} that says what is wrong
 */
export function parseAddress(address: string): DatabaseAddress {
  const parts = ADDRESS.exec(address)?.groups;
  if (!parts) throw new AddressError(`it does not have the allowed form; ${ENCODE}`);
  const { scheme, user = '', hosts = '', path = '', query = '' } = parts;
  const given = new URLSearchParams(query);
  const rest = query.split('&').filter((pair) => pair && !HOST_PARAMETERS.test(pair));
  const tail = rest.length > 0 ? `${path || '/'}?${rest.join('&')}` : path;
  const places = placesOf(hosts, given);
  if (places.length > HOSTS_MAX)
    throw new AddressError(`it names ${places.length} hosts; at most ${HOSTS_MAX} are allowed`);
  const [first = '', ...others] = places.map((place, i) => {
    const url = `${scheme}${user}${place}${tail}`;
    // No host at all is valid: the driver then uses this machine.
    if (/^(:|$)/.test(place) && (places.length > 1 || user)) throw new AddressError(`${ordinal(i)} is empty`);
    if (!URL.canParse(url) || !isEncoded(place))
      throw new AddressError(`${ordinal(i)} cannot be read; ${ENCODE}`);
    return url;
  });
  return { urls: [first, ...others], target: targetOf(given) };
}

function targetOf(given: URLSearchParams): Target {
  const asked = given.get('target_session_attrs') ?? 'any';
  const target = targets.find((one) => one === asked);
  if (target) return target;
  throw new AddressError(`target_session_attrs is "${asked}", not one of ${targets.join(', ')}`);
}

/** Each host with its port, as they are written in an address. */
function placesOf(hosts: string, given: URLSearchParams): string[] {
  const asked = given.get('host')?.split(',').map(encoded) ?? hosts.split(',');
  const ports = given.get('port')?.split(',');
  if (ports && ports.length !== 1 && ports.length !== asked.length) {
    throw new AddressError(`it names ${asked.length} hosts and ${ports.length} ports`);
  }
  return asked.map((text, i) => {
    const { host = '', port = '' } = HOST.exec(text)?.groups ?? unreadable(i);
    const known = ports ? (ports[ports.length === 1 ? 0 : i] ?? '') : port;
    if (known !== '' && !(/^\d+$/.test(known) && Number(known) >= 1 && Number(known) <= 65_535)) {
      throw new AddressError(`the port of ${ordinal(i)} is not a whole number from 1 to 65535; ${ENCODE}`);
    }
    return known === '' ? host : `${host}:${known}`;
  });
}

/** A host of the list in `?host=`, as it is written before the path. */
const encoded = (host: string): string =>
  host.includes(':') && !host.startsWith('/') ? `[${host}]` : encodeURIComponent(host);

function isEncoded(text: string): boolean {
  try {
    decodeURIComponent(text);
    return true;
  } catch {
    return false;
  }
}

const ordinal = (i: number): string => `host ${i + 1}`;

function unreadable(i: number): never {
  throw new AddressError(
    `${ordinal(i)} is not a name and a port; ${ENCODE}, and IPv6 addresses are written in []`,
  );
}

/** The servers of an address as `host:port`, without user and database. */
export const serversOf = ({ urls }: DatabaseAddress): string[] =>
  urls.map((url) => {
    const { hostname, port } = new URL(url);
    return `${decodeURIComponent(hostname) || 'localhost'}:${port || 5432}`;
  });
