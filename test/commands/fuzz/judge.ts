import { problems } from '../../../src/errors/problem.ts';
import type { ApiDocument, Operation } from './document.ts';
import type { Answer } from './http-client.ts';
import type { FuzzRequest } from './requests.ts';

/** Internals that no answer may expose: stack traces, SQL statements, addresses of databases. */
const INTERNALS =
  /\bat .+:\d+:\d+|node_modules|postgres(?:ql)?:\/\/|\b(?:select|insert into|update|delete from)\b.+\b(?:from|values|set|where)\b/is;

/** The beginning of the detail when a schema refuses a request. */
const REFUSED = /^(?:the )?(?:query|path|body|headers)\b/;

/** @returns how an answer contradicts the document; undefined: it does not */
export function faultOf(
  document: ApiDocument,
  operation: Operation,
  request: FuzzRequest,
  answer: Answer,
): string | undefined {
  const { status } = answer;
  if (status >= 500 && status !== 503 && status !== 504) return 'a status that means an internal error';
  const { detail = '' } = status < 400 ? {} : problemIn(answer);
  if (request.valid === false && status < 400) return 'an invalid request was accepted';
  if (request.valid && status === 400 && REFUSED.test(detail)) return 'a valid request was refused';
  return wrongShape(document, operation, answer) ?? (status < 400 ? undefined : wrongProblem(answer));
}

function wrongShape(document: ApiDocument, operation: Operation, answer: Answer): string | undefined {
  const documented = document.documented(operation, answer.status);
  if (!documented) return 'a status that is not documented';
  const { types, headers } = documented;
  const type = String(answer.headers['content-type'] ?? '').split(';')[0] ?? '';
  if (Object.keys(types).length === 0)
    return answer.text === '' ? undefined : 'a body that is not documented';
  const validate = types[type];
  if (!validate) return `the content type "${type}", which is not documented`;
  if (
    answer.status !== 409 &&
    headers.includes('Retry-After') &&
    !/^\d+$/.test(String(answer.headers['retry-after']))
  )
    return 'no Retry-After';
  const value: unknown = type.endsWith('json') ? JSON.parse(answer.text) : answer.text;
  return validate(value)
    ? undefined
    : `the body does not match its schema: ${JSON.stringify(validate.errors)}`;
}

interface ProblemBody {
  status?: number;
  code?: string;
  title?: string;
  type?: string;
  detail?: string;
}

function problemIn({ headers, text }: Answer): ProblemBody {
  return headers['content-type']?.includes('problem+json') ? (JSON.parse(text) as ProblemBody) : {};
}

/** Checks what the schema does not cover: the members of a problem fit each other, and no internals are exposed. */
function wrongProblem(answer: Answer): string | undefined {
  const { status, code, title, type } = problemIn(answer);
  const kind = Object.entries(problems).find(([known]) => known === code)?.[1];
  if (!kind) return 'an unknown problem code';
  if (status !== answer.status || kind.status !== status) return 'the status in the body does not fit';
  if (kind.title !== title || type !== `/problems#${code}`)
    return 'the title or the type does not fit the code';
  return INTERNALS.test(answer.text) ? 'the answer exposes internals' : undefined;
}
