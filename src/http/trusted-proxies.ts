import { isIP } from 'node:net';

/**
 * Parses `TRUST_PROXY` for Fastify: false, true, or a list of addresses and CIDR ranges.
 *
 * @returns undefined if the text is invalid
 */
export function trustedProxies(text: string): boolean | string[] | undefined {
  if (text === 'true' || text === 'false') return text === 'true';
  const ranges = text.split(',').map((range) => range.trim());
  return ranges.every(isRange) ? ranges : undefined;
}

function isRange(range: string): boolean {
  const [address = '', bits, ...more] = range.split('/');
  const version = isIP(address);
  if (version === 0 || more.length > 0) return false;
  return bits === undefined || (/^\d{1,3}$/.test(bits) && Number(bits) <= (version === 4 ? 32 : 128));
}
