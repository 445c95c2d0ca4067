// A bundle, opened: its manifest read, its graph checked against the manifest's hash and run by ONNX Runtime Web.
// The same file runs in browsers and in Node.

import * as ort from "onnxruntime-web";

import { latents } from "./latents.js";

const MANIFEST = "manifest.json";
const GRAPH = "generator.onnx";
const FORMAT_VERSION = 1;
// What is said of a bundle that is not of the kind that was wanted.
const INSTEAD = {
  noise: "This bundle translates pictures, it makes none of seeds: open it in draw.html.",
  image: "This bundle makes pictures of seeds, it translates none: open it in index.html.",
};

if (!globalThis.crossOriginIsolated) ort.env.wasm.numThreads = 1; // threads need memory that only isolated pages share

/** What is wrong, in words for the person at the page. */
export class BundleProblem extends Error {}

/**
 * @param {string} base the address of the bundle's folder
 * @returns {(name: string) => Promise<ArrayBuffer>} a reader of its files
 */
export function fromAddress(base) {
  const folder = base.endsWith("/") ? base : `${base}/`;
  return async (name) => {
    // Asked anew: a graph and a manifest of two exports do not fit together.
    const response = await fetch(folder + name, { cache: "no-cache" }).catch(() => {
      throw new BundleProblem(`${folder}${name} cannot be reached: is the server running?`);
    });
    if (!response.ok) {
      throw new BundleProblem(`There is no ${folder}${name} (the server says ${response.status}): is this a bundle?`);
    }
    return response.arrayBuffer();
  };
}

/**
 * @param {Iterable<File>} files what a person chose or dropped: a bundle's folder
 * @returns {(name: string) => Promise<ArrayBuffer>} a reader of its files
 */
export function fromFiles(files) {
  const byDepth = [...files].sort((a, b) => depth(a) - depth(b)); // the bundle's own before those of folders in it
  return async (name) => {
    const file = byDepth.find((candidate) => candidate.name === name);
    if (!file) throw new BundleProblem(`The folder has no ${name}: choose one that “export” made.`);
    return file.arrayBuffer();
  };
}

const depth = (file) => (file.webkitRelativePath || "").split("/").length;

/**
 * Open a bundle. Every promise it makes that can be checked here is: format, hash of the graph, inputs.
 * @param {(name: string) => Promise<ArrayBuffer>} read a reader of the bundle's files
 * @param {"noise"|"image"} [kind] what it must make pictures of: seeds, or pictures
 * @returns {Promise<Generator|Translator>} the latter of the kind "image"
 */
export async function openBundle(read, kind = "noise") {
  const { spec, digest } = parseManifest(new TextDecoder().decode(await read(MANIFEST)));
  if (spec.kind !== kind) throw new BundleProblem(INSTEAD[kind]);
  const graph = await read(GRAPH);
  await checkHash(graph, digest);
  const Kind = kind === "image" ? Translator : Generator;
  try {
    return new Kind(spec, await ort.InferenceSession.create(graph, { executionProviders: ["wasm"] }));
  } catch (error) {
    throw new BundleProblem(`ONNX Runtime Web cannot open the graph: ${error.message}`);
  }
}

function parseManifest(text) {
  let manifest;
  try {
    manifest = JSON.parse(text);
  } catch {
    throw new BundleProblem(`${MANIFEST} is not JSON: copy the whole bundle again.`);
  }
  const spec = manifest?.spec;
  if (!spec || !manifest.files?.[GRAPH]) throw new BundleProblem(`${MANIFEST} is not that of a bundle.`);
  if (manifest.format_version !== FORMAT_VERSION) {
    throw new BundleProblem(`The bundle has format ${manifest.format_version}, this page reads ${FORMAT_VERSION}.`);
  }
  return { spec, digest: manifest.files[GRAPH] };
}

async function checkHash(graph, digest) {
  if (!globalThis.crypto?.subtle) return; // only pages from https or this machine may hash
  const bytes = new Uint8Array(await crypto.subtle.digest("SHA-256", graph));
  const found = Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("");
  if (found !== digest) throw new BundleProblem(`${GRAPH} was changed or cut short after the export: copy it again.`);
}

/** What a bundle holds, ready to run. */
class Opened {
  constructor(spec, session) {
    this.spec = spec;
    this.session = session;
  }

  /**
   * The graph itself.
   * @param {Record<string, Float32Array | BigInt64Array | Uint8Array>} inputs each n rows; Uint8Array are pictures
   * @param {number} count n
   * @returns {Promise<Uint8Array>} n pictures
   */
  async run(inputs, count) {
    const { source } = this.spec;
    const tensors = Object.entries(inputs).map(([name, values]) => {
      if (values instanceof Uint8Array) {
        return [name, new ort.Tensor("uint8", values, [count, source.height, source.width, source.channels])];
      }
      const type = values instanceof BigInt64Array ? "int64" : "float32";
      return [name, new ort.Tensor(type, values, [count, values.length / count])];
    });
    const { image } = await this.session.run(Object.fromEntries(tensors));
    return image.data;
  }
}

/** A translator ready to translate. */
export class Translator extends Opened {
  /**
   * What it makes of a picture.
   * @param {Uint8Array} source spec.source's height × width × channels, straight alpha
   * @returns {Promise<Uint8Array>} height × width × channels, straight alpha
   */
  async translate(source) {
    return this.run({ source }, 1);
  }
}

/** A generator ready to sample. */
export class Generator extends Opened {
  /**
   * One picture a seed.
   * @param {number[]} seeds
   * @param {{truncation?: number, label?: number, codes?: number[]}} [options] label: the class's number
   * @returns {Promise<Uint8Array[]>} height × width × channels each, straight alpha
   */
  async sample(seeds, options = {}) {
    const images = await this.run(this.#inputs(seeds, options), seeds.length);
    const size = images.length / seeds.length;
    return seeds.map((_, row) => images.slice(row * size, (row + 1) * size));
  }

  #inputs(seeds, { truncation = 1, label = 0, codes }) {
    const { spec } = this;
    const inputs = { truncation: new Float32Array(seeds.length).fill(truncation) };
    const row = spec.latent_dim + (spec.noise ?? 0); // noise goes on where the latent ends
    const values = latents(seeds, row);
    inputs.z = columns(values, row, 0, spec.latent_dim);
    if (spec.noise) inputs.noise = columns(values, row, spec.latent_dim, row);
    if (spec.classes.length) inputs.label = new BigInt64Array(seeds.length).fill(BigInt(label));
    if (spec.codes) {
      const each = Array.from({ length: spec.codes }, (_, index) => codes?.[index] ?? 0);
      inputs.codes = Float32Array.from(seeds.flatMap(() => each));
    }
    return inputs;
  }
}

/** The columns from `first` up to `last` of rows that are `row` values long. */
function columns(values, row, first, last) {
  const width = last - first;
  const out = new Float32Array((values.length / row) * width);
  for (let i = 0; i * row < values.length; i++) out.set(values.subarray(i * row + first, i * row + last), i * width);
  return out;
}
