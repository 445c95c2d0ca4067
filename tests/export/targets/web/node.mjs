// node node.mjs images BUNDLE ASKED OUT     what the bundle makes of ASKED, JSON: the graph's images of {count, inputs},
//                                           then one of each of `samples`, {seed, truncation, label, codes}; bytes
// node node.mjs translations BUNDLE ASKED OUT   what the bundle makes of {pictures} in ASKED, RGBA to RGBA
// node node.mjs fitted ASKED OUT            where {places} lie, and the margins of {borders}, as JSON
// node node.mjs png ASKED OUT               the PNG file of {pixels, width, height, channels} in ASKED
import { readFile, writeFile } from "node:fs/promises";

const json = async (path) => JSON.parse(await readFile(path, "utf-8"));

function typed({ type, values }) {
  if (type === "uint8") return Uint8Array.from(values);
  return type === "int64" ? BigInt64Array.from(values, BigInt) : Float32Array.from(values);
}

const verbs = {
  async images(bundle, asked) {
    const { openBundle } = await import("../../../../examples/web/generator.js");
    const { count, inputs, samples } = await json(asked);
    const generator = await openBundle(async (name) => new Uint8Array(await readFile(`${bundle}/${name}`)).buffer);
    const named = Object.entries(inputs).map(([name, value]) => [name, typed(value)]);
    const images = [await generator.run(Object.fromEntries(named), count)];
    for (const { seed, ...options } of samples) images.push(...(await generator.sample([seed], options)));
    return Buffer.concat(images);
  },
  async translations(bundle, asked) {
    const { openBundle } = await import("../../../../examples/web/generator.js");
    const { fromRgba, toRgba } = await import("../../../../examples/web/pixels.js");
    const { pictures } = await json(asked);
    const translator = await openBundle(async (name) => new Uint8Array(await readFile(`${bundle}/${name}`)).buffer, "image");
    const { source, channels } = translator.spec;
    const images = [];
    for (const rgba of pictures) images.push(await translator.translate(fromRgba(Uint8Array.from(rgba), source.channels)));
    return Buffer.concat(images.map((image) => new Uint8Array(toRgba(image, channels))));
  },
  async fitted(asked) {
    const { marginOf, placeOf } = await import("../../../../examples/web/pixels.js");
    const { places, borders } = await json(asked);
    const found = places.map(([sides, page, fit, resample]) => placeOf(sides, page, { fit, resample }));
    return JSON.stringify([found, borders.map(([rgba, width, height]) => marginOf(Uint8Array.from(rgba), width, height))]);
  },
  async png(asked) {
    const { encodePng } = await import("../../../../examples/web/png.js");
    const { pixels, width, height, channels } = await json(asked);
    return new Uint8Array(await (await encodePng(Uint8Array.from(pixels), width, height, channels)).arrayBuffer());
  },
};

const [verb, ...words] = process.argv.slice(2);
const out = words.pop();
try {
  await writeFile(out, await verbs[verb](...words));
} catch (error) {
  console.error(`${error.constructor.name}: ${error.message}`);
  process.exit(1);
}
