/**
 * Patroni's timeouts, in seconds: the shortest that it accepts, so that a failover takes seconds and not half a minute. A
 * crashed primary has `primary_start_timeout` (300 by default) to recover before another node is promoted.
 */
export const PATRONI = { ttl: 8, loop_wait: 2, retry_timeout: 3, primary_start_timeout: 5 } as const;

/** How long both ends of a replication connection wait for a message from the other end, in seconds. */
export const REPLICATION_TIMEOUT_S = 3;

/** The interval of HAProxy's health checks, and the number of failures after which a server counts as down. */
export const HAPROXY = { interMs: 500, fall: 2, rise: 1 } as const;

/** The timeouts as text: no figure is meaningful without them. */
export const timingText = [
  `Patroni: ${Object.entries(PATRONI)
    .map(([name, seconds]) => `${name} ${seconds} s`)
    .join(', ')}`,
  `wal_sender_timeout and wal_receiver_timeout ${REPLICATION_TIMEOUT_S} s`,
  `HAProxy asks every ${HAPROXY.interMs} ms, fall ${HAPROXY.fall}, rise ${HAPROXY.rise}`,
].join('; ');
