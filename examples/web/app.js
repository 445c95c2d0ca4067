// The page: what a person sets, what the generator makes of it, and what they take away. Its address always says what
// it shows, so that a picture can be linked: ?bundle=…&seed=…&truncation=…&count=…

import { BundleProblem, fromAddress, fromFiles, openBundle } from "./generator.js";
import { LAST_SEED } from "./latents.js";
import { toRgba } from "./pixels.js";
import { encodePng } from "./png.js";

const SHEET_GAP = 2; // pixels between the pictures of a sheet
const at = (id) => document.getElementById(id);

let generator = null;
let pictures = []; // of the grid: { seed, pixels, tile }
let chosen = 0;
let run = 0; // what is being made; a newer run ends an older one

/** Ask for every picture of the grid, one after the other, and show each as soon as it is there. */
async function make() {
  if (!generator || !at("controls").reportValidity()) return;
  const mine = ++run;
  const wanted = settings();
  remember(wanted);
  clearProblem();
  pictures = [];
  at("grid").replaceChildren();
  const started = performance.now();
  for (let i = 0; i < wanted.count; i++) {
    const seed = (wanted.seed + i) % (LAST_SEED + 1);
    const [pixels] = await generator.sample([seed], wanted);
    await new Promise((painted) => setTimeout(painted)); // the page stays alive between two
    if (mine !== run) return;
    addPicture(seed, pixels);
    say(`${i + 1} of ${wanted.count}`);
  }
  const each = (performance.now() - started) / wanted.count;
  say(`${wanted.count === 1 ? "1 picture" : `${wanted.count} pictures`}, ${each.toFixed(0)} ms each`);
}

function settings() {
  return {
    seed: at("seed").valueAsNumber,
    truncation: at("truncation").valueAsNumber,
    count: Number(at("count").value),
    label: Number(at("label").value || 0),
    codes: [...at("codes").querySelectorAll("input")].map((input) => input.valueAsNumber),
  };
}

function addPicture(seed, pixels) {
  const index = pictures.length;
  const tile = document.createElement("button");
  const canvas = document.createElement("canvas");
  const name = document.createElement("span");
  paint(canvas, pixels);
  name.textContent = seed;
  tile.type = "button";
  tile.setAttribute("aria-label", `Seed ${seed}`);
  tile.append(canvas, name);
  tile.addEventListener("click", () => choose(index));
  pictures.push({ seed, pixels, tile });
  at("grid").append(tile);
  if (index === 0) choose(0);
}

function choose(index) {
  chosen = index;
  const { seed, pixels } = pictures[index];
  pictures.forEach(({ tile }, other) => {
    tile.setAttribute("aria-pressed", other === index);
    tile.tabIndex = other === index ? 0 : -1;
  });
  const { width, height } = generator.spec;
  paint(at("large"), pixels);
  at("chosen").hidden = false;
  at("large").setAttribute("aria-label", `The picture of seed ${seed}`);
  const words = document.createElement("strong");
  words.textContent = `Seed ${seed}`;
  at("caption").replaceChildren(words, `${width} × ${height} pixels, truncation ${settings().truncation.toFixed(2)}`);
  for (const button of [at("save-one"), at("save-all")]) button.disabled = false;
}

function paint(canvas, pixels) {
  const { width, height, channels } = generator.spec;
  canvas.width = width;
  canvas.height = height;
  canvas.getContext("2d").putImageData(new ImageData(toRgba(pixels, channels), width, height), 0, 0);
}

async function saveOne() {
  const { width, height, channels } = generator.spec;
  const { seed, pixels } = pictures[chosen];
  save(await encodePng(pixels, width, height, channels), `seed${seed}.png`);
}

/** Every picture in a square of rows; between them is nothing, which is transparent or black. */
async function saveAll() {
  const { width, height, channels } = generator.spec;
  const columns = Math.ceil(Math.sqrt(pictures.length));
  const lines = Math.ceil(pictures.length / columns);
  const sheetWidth = columns * (width + SHEET_GAP) - SHEET_GAP;
  const sheetHeight = lines * (height + SHEET_GAP) - SHEET_GAP;
  const sheet = new Uint8Array(sheetWidth * sheetHeight * channels);
  pictures.forEach(({ pixels }, index) => {
    const left = (index % columns) * (width + SHEET_GAP);
    const top = Math.floor(index / columns) * (height + SHEET_GAP);
    for (let y = 0; y < height; y++) {
      const row = pixels.subarray(y * width * channels, (y + 1) * width * channels);
      sheet.set(row, ((top + y) * sheetWidth + left) * channels);
    }
  });
  save(await encodePng(sheet, sheetWidth, sheetHeight, channels), `seeds${pictures[0].seed}-${pictures.at(-1).seed}.png`);
}

function save(file, name) {
  const link = document.createElement("a");
  link.href = URL.createObjectURL(file);
  link.download = name;
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 60_000);
  say(`Downloaded ${name}`);
}

/** Open a bundle and show what it makes; what is wrong with it is said in words. */
async function open(read) {
  try {
    say("Loading the generator …");
    const opened = await openBundle(read);
    generator = opened;
    run++;
    describe(opened.spec);
    at("open").open = false;
    await make();
  } catch (error) {
    complain(error);
  }
}

function describe(spec) {
  const { provenance: facts = {} } = spec;
  const kind = { 1: "grey", 3: "RGB", 4: "RGBA" }[spec.channels];
  const parts = [`${spec.family}, ${spec.width} × ${spec.height} ${kind}`];
  if (facts.data_name) parts.push(`trained on ${facts.data_name}`);
  if (facts.data_licence) parts.push(facts.data_licence);
  if (facts.data_attribution) parts.push(facts.data_attribution);
  at("about").textContent = `${parts.join(" · ")}. Everything runs in this page; nothing leaves this machine.`;
  at("label-field").hidden = !spec.classes.length;
  at("label").replaceChildren(...spec.classes.map((name, index) => new Option(name, index)));
  at("codes").replaceChildren(...Array.from({ length: spec.codes ?? 0 }, (_, index) => codeField(index)));
}

function codeField(index) {
  const field = document.createElement("div");
  field.className = "field";
  field.innerHTML = `<label for="code${index}">Code ${index + 1}</label>
    <input id="code${index}" type="range" min="-3" max="3" step="0.1" value="0">`;
  return field;
}

function remember({ seed, truncation, count }) {
  const address = new URL(location);
  for (const [name, value] of Object.entries({ seed, truncation, count })) address.searchParams.set(name, value);
  history.replaceState(null, "", address);
}

function recall() {
  const asked = new URL(location).searchParams;
  for (const name of ["seed", "truncation", "count"]) {
    if (asked.has(name)) at(name).value = asked.get(name);
  }
  if (!at("count").value) at("count").value = "36";
  showTruncation();
  return asked.get("bundle") ?? "bundle";
}

const showTruncation = () => (at("truncation-value").value = at("truncation").valueAsNumber.toFixed(2));
const say = (text) => (at("status").textContent = text);

function complain(error) {
  console.error(error);
  say("");
  at("problem").textContent = error instanceof BundleProblem ? error.message : `Something went wrong: ${error.message}`;
  at("problem").hidden = false;
}

const clearProblem = () => (at("problem").hidden = true);

function moveInGrid(event) {
  const columns = getComputedStyle(at("grid")).gridTemplateColumns.split(" ").length;
  const step = { ArrowLeft: -1, ArrowRight: 1, ArrowUp: -columns, ArrowDown: columns }[event.key];
  const next = chosen + step;
  if (!step || !pictures[next]) return;
  event.preventDefault();
  choose(next);
  pictures[next].tile.focus();
}

function listen() {
  const again = () => make().catch(complain);
  at("controls").addEventListener("submit", (event) => {
    event.preventDefault();
    again();
  });
  at("surprise").addEventListener("click", () => {
    [at("seed").valueAsNumber] = crypto.getRandomValues(new Uint32Array(1));
    again();
  });
  for (const id of ["truncation", "count", "label", "codes", "seed"]) at(id).addEventListener("change", again);
  at("truncation").addEventListener("input", showTruncation);
  at("grid").addEventListener("keydown", moveInGrid);
  at("save-one").addEventListener("click", () => saveOne().catch(complain));
  at("save-all").addEventListener("click", () => saveAll().catch(complain));
  at("folder").addEventListener("change", (event) => open(fromFiles(event.target.files)));
  for (const button of [at("save-one"), at("save-all")]) button.disabled = true;
}

listen();
open(fromAddress(recall()));
