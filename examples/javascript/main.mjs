// node main.mjs [--label CLASS] [--truncation NUMBER] [--url URL] [--overwrite] MODEL SEED FILE
import { existsSync } from "node:fs";
import { writeFile } from "node:fs/promises";
import { parseArgs } from "node:util";

import { asset } from "./asset.mjs";

const USAGE = "usage: node main.mjs [--label CLASS] [--truncation NUMBER] [--url URL] [--overwrite] MODEL SEED FILE";

async function main() {
  const options = { label: { type: "string" }, truncation: { type: "string" }, url: { type: "string" } };
  options.overwrite = { type: "boolean", default: false };
  const { values, positionals } = parseArgs({ options, allowPositionals: true });
  const [model, seed, file] = positionals;
  if (positionals.length !== 3) throw new Error(USAGE);
  const { label, url = "http://127.0.0.1:8000" } = values;
  const truncation = values.truncation === undefined ? undefined : number(values.truncation, "truncation");
  if (!values.overwrite && existsSync(file)) throw new Error(taken(file));
  const png = await asset(url, model, number(seed, "seed"), { label, truncation });
  await writeFile(file, png, { flag: values.overwrite ? "w" : "wx" });
}

function number(text, what) {
  if (text.trim() === "" || !Number.isFinite(Number(text))) throw new Error(`'${text}' is not a ${what}: give a number`);
  return Number(text);
}

const taken = (file) => `${file} is there: choose another file, or give --overwrite`;

main().catch((error) => {
  console.error(`main.mjs: ${error.message}`);
  process.exitCode = 1;
});
