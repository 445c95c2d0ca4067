// node main.mjs [--label CLASS] [--truncation NUMBER] [--url URL] MODEL SEED FILE
import { writeFile } from "node:fs/promises";
import { parseArgs } from "node:util";

import { asset } from "./asset.mjs";

const USAGE = "usage: node main.mjs [--label CLASS] [--truncation NUMBER] [--url URL] MODEL SEED FILE";

async function main() {
  const options = { label: { type: "string" }, truncation: { type: "string" }, url: { type: "string" } };
  const { values, positionals } = parseArgs({ options, allowPositionals: true });
  const [model, seed, file] = positionals;
  if (positionals.length !== 3) throw new Error(USAGE);
  const { label, url = "http://127.0.0.1:8000" } = values;
  const truncation = values.truncation === undefined ? undefined : number(values.truncation, "truncation");
  await writeFile(file, await asset(url, model, number(seed, "seed"), { label, truncation }));
}

function number(text, what) {
  if (text.trim() === "" || !Number.isFinite(Number(text))) throw new Error(`'${text}' is not a ${what}: give a number`);
  return Number(text);
}

main().catch((error) => {
  console.error(`main.mjs: ${error.message}`);
  process.exitCode = 1;
});
