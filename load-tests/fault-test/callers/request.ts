import {
  documentOf,
  incrementsOf,
  isDocument,
  isKeyed,
  keyIdOf,
  keyOf,
  legitimateRefusals,
  MISSING,
  type Operation,
} from '../journal/operation.ts';

/** The HTTP request of an operation. */
export interface CounterRequest {
  method: 'GET' | 'POST' | 'PUT' | 'DELETE';
  path: string;
  headers: Record<string, string>;
  body?: string;
  /** The problem codes with which the service may legitimately refuse it. */
  refusals: readonly string[];
}

/** @param run the name of the run: the prefix of its idempotency keys */
export function requestOf(operation: Operation, run: string): CounterRequest {
  return isDocument(operation) ? changeOf(operation) : incrementOf(operation, run);
}

function incrementOf(operation: Operation, run: string): CounterRequest {
  const increments = incrementsOf(operation);
  const [first] = increments;
  const { name, ...body } = first ?? { name: '' };
  const isOne = increments.length === 1;
  return {
    method: 'POST',
    path: isOne ? `/counters/${name}/increments` : '/increments',
    headers: isKeyed(operation) ? { 'idempotency-key': keyOf(run, keyIdOf(operation)) } : {},
    body: JSON.stringify(isOne ? body : increments),
    refusals: legitimateRefusals(operation),
  };
}

/** A conditional change of a document; every PUT sets a different value. */
function changeOf(operation: Operation): CounterRequest {
  const { id, kind, about = MISSING } = operation;
  const path = `/counters/${documentOf(id)}`;
  const headers: Record<string, string> =
    about === MISSING ? { 'if-none-match': '*' } : { 'if-match': `"${about}"` };
  const refusals = legitimateRefusals(operation);
  if (kind === 'delete') return { method: 'DELETE', path, headers, refusals };
  return { method: 'PUT', path, headers, body: JSON.stringify({ value: id }), refusals };
}
