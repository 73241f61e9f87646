import { createConfig, lintFromString } from '@redocly/openapi-core';
import { withOwnDatabase } from '../../load-tests/shared/own-database.ts';
import { buildApp } from '../../src/app.ts';
import { runCommand } from '../../src/command-line/command.ts';
import { print } from '../../src/command-line/progress.ts';
import { loadConfig } from '../../src/config.ts';

/** Redocly's strict rules, and what this project asks for besides. */
const rules = {
  'operation-operationId': 'error',
  'operation-tag-defined': 'error',
  'operation-singular-tag': 'error',
  'parameter-description': 'error',
  'tag-description': 'error',
  'no-invalid-media-type-examples': 'error',
  'no-invalid-parameter-examples': 'error',
  'no-invalid-schema-examples': 'error',
  'rule/short-summaries': {
    subject: { type: 'Operation', property: 'summary' },
    assertions: { defined: true, pattern: '/^[A-Z][^.]*$/', maxLength: 72 },
    message: 'a summary is one short phrase, capitalized, without a full stop',
    severity: 'error',
  },
  'rule/described-properties': {
    subject: { type: 'Schema', property: 'description' },
    where: [{ subject: { type: 'SchemaProperties' }, assertions: { defined: true } }],
    assertions: { defined: true },
    message: 'every field of a schema has a description',
    severity: 'error',
  },
} as const;

/** With and without the demonstrations and a token: both change the document. */
const VARIANTS = [{}, { API_TOKEN: 'a-token-of-the-linter', DEMOS: 'false' }];

await runCommand({
  name: 'check:openapi',
  about: 'Checks the style of the OpenAPI document, as the service serves it.',
  options: {},
  variables: {},
  run: () =>
    withOwnDatabase(40, async (databaseUrl) => {
      const config = await createConfig({ extends: ['recommended-strict'], rules });
      let problems = 0;
      for (const variant of VARIANTS) {
        const app = await buildApp({ config: loadConfig({ ...variant }), databaseUrl });
        const { body: source } = await app.inject('/docs/json');
        await app.close();
        const found = await lintFromString({ source, absoluteRef: 'openapi.json', config });
        problems += found.length;
        for (const { ruleId, message, location } of found) {
          print(`${location[0]?.pointer ?? '#'}: ${message} (${ruleId})`);
        }
      }
      return problems === 0;
    }),
});
