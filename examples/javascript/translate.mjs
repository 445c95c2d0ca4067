// node translate.mjs [--url URL] [--overwrite] MODEL PICTURE FILE
import { existsSync } from "node:fs";
import { readFile, writeFile } from "node:fs/promises";
import { parseArgs } from "node:util";

import { translated } from "./asset.mjs";

const USAGE = "usage: node translate.mjs [--url URL] [--overwrite] MODEL PICTURE FILE";

async function main() {
  const options = { url: { type: "string" }, overwrite: { type: "boolean", default: false } };
  const { values, positionals } = parseArgs({ options, allowPositionals: true });
  const [model, picture, file] = positionals;
  if (positionals.length !== 3) throw new Error(USAGE);
  if (!values.overwrite && existsSync(file)) throw new Error(`${file} is there: choose another file, or give --overwrite`);
  const given = await readFile(picture).catch(() => {
    throw new Error(`${picture} is not a file that can be read`);
  });
  const png = await translated(values.url ?? "http://127.0.0.1:8000", model, given);
  await writeFile(file, png, { flag: values.overwrite ? "w" : "wx" });
}

main().catch((error) => {
  console.error(`translate.mjs: ${error.message}`);
  process.exitCode = 1;
});
