/**
 * Patroni's times, in seconds: as short as it accepts, so that a failover takes seconds and not half a minute. A
 * primary that has crashed has `primary_start_timeout` to come back before another one leads; by default 300.
 */
export const PATRONI = { ttl: 8, loop_wait: 2, retry_timeout: 3, primary_start_timeout: 5 } as const;

/** How long both ends of the replication wait for a word of the other one, in seconds. */
export const REPLICATION_TIMEOUT_S = 3;

/** How often HAProxy asks Patroni, and after how many failures a server counts as down. */
export const HAPROXY = { interMs: 500, fall: 2, rise: 1 } as const;

/** What is to be said with every figure. */
export const timingText = [
  `Patroni: ${Object.entries(PATRONI)
    .map(([name, seconds]) => `${name} ${seconds} s`)
    .join(', ')}`,
  `wal_sender_timeout and wal_receiver_timeout ${REPLICATION_TIMEOUT_S} s`,
  `HAProxy asks every ${HAPROXY.interMs} ms, fall ${HAPROXY.fall}, rise ${HAPROXY.rise}`,
].join('; ');
