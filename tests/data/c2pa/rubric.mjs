// Evaluates a C2PA rubric with @adobe/json-formula (Apache-2.0), as test_provenance.py asks.
//
//   node rubric.mjs FOLDER_OF_JSON_FORMULA < {"rubric": {…}, "checks": […], "assets": {NAME: crJSON}}
//
// Prints {NAME: {CHECK: result}}; what a result means is the test's to say. A named expression of
// the rubric is a function: it sees the whole asset, its arguments as $args.
import { readFileSync } from 'node:fs';
import { pathToFileURL } from 'node:url';
import { join } from 'node:path';

const { default: JsonFormula } = await import(
  pathToFileURL(join(process.argv[2], 'src', 'json-formula.js'))
);
const { rubric, checks, assets } = JSON.parse(readFileSync(0, 'utf8'));

function evaluate(expression, asset, globals) {
  const functions = {};
  for (const [name, body] of Object.entries(rubric.expressions)) {
    functions[name] = {
      _func: (args) => evaluate(body, asset, { ...globals, $args: args }),
      _signature: [{ types: [1], optional: true, variadic: true }],
    };
  }
  return new JsonFormula(functions).search(expression, asset, globals);
}

const globals = { ...rubric.variables, $expected_spec_version: '2.4', $args: [] };
const answers = {};
for (const [name, asset] of Object.entries(assets)) {
  answers[name] = {};
  for (const check of checks) {
    answers[name][check.id] = evaluate(check.expression, asset, globals) ?? null;
  }
}
console.log(JSON.stringify(answers));
