// A seed or a PNG file in, a PNG file out, from a Ganfoundry server's HTTP. For Node 20 or newer and for browsers; no dependencies.

/** What went wrong, in one line. */
export class AssetError extends Error {}

/**
 * The PNG file of a seed.
 *
 * @param {string} url of the server, such as http://127.0.0.1:8000
 * @param {string} model its name, without the _png
 * @param {number} seed 0 to 2**32 - 1
 * @param {{label?: string | number, truncation?: number, signal?: AbortSignal}} options label is a class by its name or number
 * @returns {Promise<Uint8Array>}
 */
export async function asset(url, model, seed, { label, truncation, signal = AbortSignal.timeout(60_000) } = {}) {
  const inputs = [tensor("seed", "INT64", seed)];
  if (typeof label === "number") inputs.push(tensor("label", "INT64", label));
  if (typeof label === "string") inputs.push(tensor("class", "BYTES", label));
  if (truncation !== undefined) inputs.push(tensor("truncation", "FP32", truncation));
  return fileOf(url, model, { body: JSON.stringify({ inputs, outputs: FILE }), signal });
}

/**
 * The PNG file that a translator makes of a PNG file.
 *
 * @param {string} url of the server
 * @param {string} model its name, without the _png
 * @param {Uint8Array} png of the size that the translator takes, 8 bits a sample, not interlaced
 * @param {{signal?: AbortSignal}} options
 * @returns {Promise<Uint8Array>}
 */
export async function translated(url, model, png, { signal = AbortSignal.timeout(60_000) } = {}) {
  // JSON, then the file's length in four bytes, the lowest first, and the file: a header says how long the JSON is.
  const parameters = { binary_data_size: 4 + png.length };
  const inputs = [{ name: "png", datatype: "BYTES", shape: [1, 1], parameters }];
  const json = new TextEncoder().encode(JSON.stringify({ inputs, outputs: FILE }));
  const body = new Uint8Array(json.length + 4 + png.length);
  body.set(json);
  new DataView(body.buffer).setUint32(json.length, png.length, true);
  body.set(png, json.length + 4);
  return fileOf(url, model, { body, headers: { "Inference-Header-Content-Length": String(json.length) }, signal });
}

// As JSON, the bytes of a file would be taken for text: ask for them as they are.
const FILE = [{ name: "png", parameters: { binary_data: true } }];

async function fileOf(url, model, options) {
  const answer = await request(url, `${encodeURIComponent(model)}_png/infer`, { method: "POST", ...options });
  return firstFile(await answer.arrayBuffer(), Number(answer.headers.get("Inference-Header-Content-Length")));
}

const tensor = (name, datatype, value) => ({ name, datatype, shape: [1, 1], data: [value] });

/** JSON, then for each file its length in four bytes, the lowest first, and itself. */
function firstFile(body, jsonLength) {
  if (!jsonLength || jsonLength + 4 > body.byteLength) throw new AssetError("the server did not answer with a file");
  const length = new DataView(body).getUint32(jsonLength, true);
  return new Uint8Array(body, jsonLength + 4, length);
}

async function request(url, path, options) {
  let answer;
  try {
    answer = await fetch(`${url.replace(/\/$/, "")}/v2/models/${path}`, options);
  } catch {
    throw new AssetError(`no server answers at ${url}: start one with 'serve'`);
  }
  if (answer.ok) return answer;
  const said = await answer.json().catch(() => ({}));
  throw new AssetError(said.error ?? `the server answered ${answer.status}`);
}
