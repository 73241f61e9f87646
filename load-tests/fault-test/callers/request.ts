import {
  documentOf,
  incrementsOf,
  isDocument,
  isKeyed,
  keyIdOf,
  keyOf,
  MISSING,
  type Operation,
  refusalsOf,
} from '../journal/operation.ts';

/** An operation as it is sent. */
export interface CounterRequest {
  method: 'GET' | 'POST' | 'PUT' | 'DELETE';
  path: string;
  headers: Record<string, string>;
  body?: string;
  /** The problems, by their codes, that it deserves. */
  refusals: readonly string[];
}

/** @param run the name of the run, which its idempotency keys begin with */
export function requestOf(operation: Operation, run: string): CounterRequest {
  return isDocument(operation) ? changeOf(operation) : incrementOf(operation, run);
}

function incrementOf(operation: Operation, run: string): CounterRequest {
  const increments = incrementsOf(operation);
  const [first] = increments;
  const one = increments.length === 1 && first;
  return {
    method: 'POST',
    path: one ? `/counters/${one.name}/increments` : '/increments',
    headers: isKeyed(operation) ? { 'idempotency-key': keyOf(run, keyIdOf(operation)) } : {},
    body: JSON.stringify(one ? { by: one.by } : increments),
    refusals: refusalsOf(operation),
  };
}

/** Each sets a value of its own. */
function changeOf(operation: Operation): CounterRequest {
  const { id, kind, about = MISSING } = operation;
  const path = `/counters/${documentOf(id)}`;
  const headers: Record<string, string> =
    about === MISSING ? { 'if-none-match': '*' } : { 'if-match': `"${about}"` };
  const refusals = refusalsOf(operation);
  if (kind === 'delete') return { method: 'DELETE', path, headers, refusals };
  return { method: 'PUT', path, headers, body: JSON.stringify({ value: id }), refusals };
}
