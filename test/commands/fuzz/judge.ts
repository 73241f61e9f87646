import { problems } from '../../../src/errors/problem.ts';
import type { ApiDocument, Operation } from './document.ts';
import type { Answer } from './http-client.ts';
import type { FuzzRequest } from './requests.ts';

/** What must stay inside: stacks, statements, addresses with passwords. */
const INSIDE =
  /\bat .+:\d+:\d+|node_modules|postgres(?:ql)?:\/\/|\b(?:select|insert into|update|delete from)\b.+\b(?:from|values|set|where)\b/is;

/** How the schema of a request refuses it. */
const REFUSED = /^(?:the )?(?:query|path|body|headers)\b/;

/** @returns what is wrong with an answer, by the document; undefined: nothing */
export function faultOf(
  document: ApiDocument,
  operation: Operation,
  request: FuzzRequest,
  answer: Answer,
): string | undefined {
  const { status } = answer;
  if (status >= 500 && status !== 503 && status !== 504) return 'a status that means a defect';
  const { detail = '' } = status < 400 ? {} : problemIn(answer);
  if (request.valid === false && status < 400) return 'it is not as documented, and was taken';
  if (request.valid && status === 400 && REFUSED.test(detail)) return 'it is as documented, and was refused';
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
  if (!validate) return `the type "${type}", which is not documented`;
  if (headers.includes('Retry-After') && !/^\d+$/.test(String(answer.headers['retry-after'])))
    return 'no Retry-After';
  const value: unknown = type.endsWith('json') ? JSON.parse(answer.text) : answer.text;
  return validate(value) ? undefined : `another shape: ${JSON.stringify(validate.errors)}`;
}

interface ShownProblem {
  status?: number;
  code?: string;
  title?: string;
  type?: string;
  detail?: string;
}

function problemIn({ headers, text }: Answer): ShownProblem {
  return headers['content-type']?.includes('problem+json') ? (JSON.parse(text) as ShownProblem) : {};
}

/** What the schema does not say: that the parts of a problem belong together, and that nothing leaks. */
function wrongProblem(answer: Answer): string | undefined {
  const { status, code, title, type } = problemIn(answer);
  const kind = Object.entries(problems).find(([known]) => known === code)?.[1];
  if (!kind) return 'a code that is not among the problems';
  if (status !== answer.status || kind.status !== status) return 'another status in the body';
  if (kind.title !== title || type !== `/problems#${code}`) return 'another title or type';
  return INSIDE.test(answer.text) ? 'it tells what must stay inside' : undefined;
}
