// The page to draw on: what a person draws, what the translator makes of it, and what they take away.

import { BundleProblem, fromAddress, fromFiles, openBundle } from "./generator.js";
import { fromRgba, marginOf, placeOf, toRgba } from "./pixels.js";
import { encodePng } from "./png.js";

const MOST_UNDONE = 50; // strokes that can be taken back
const at = (id) => document.getElementById(id);
const paper = at("paper");

let translator = null;
let pen = null; // the drawing's 2D context, once there is a translator
let stroke = null; // where the pen is, while it is down
let before = []; // the drawing before each of the last strokes
let result = null; // pixels, as the translator made them
let asked = 0; // how often something changed; what is made of an older drawing is not shown
let busy = false;

/** Translate the drawing as it is now; strokes that come meanwhile are translated after it, all at once. */
async function translate() {
  asked++;
  if (busy || !translator) return;
  busy = true;
  try {
    for (let done = 0; done !== asked; ) {
      done = asked;
      const started = performance.now();
      result = await translator.translate(drawing());
      show(result);
      say(`Translated in ${(performance.now() - started).toFixed(0)} ms`);
      await new Promise((painted) => setTimeout(painted)); // the page stays alive between two
    }
    at("save").disabled = false;
  } catch (error) {
    complain(error);
  } finally {
    busy = false;
  }
}

/** The drawing as the translator takes it. */
function drawing() {
  const { data } = pen.getImageData(0, 0, paper.width, paper.height);
  return fromRgba(data, translator.spec.source.channels);
}

function show(pixels) {
  const { width, height, channels } = translator.spec;
  const canvas = at("result");
  Object.assign(canvas, { width, height });
  canvas.getContext("2d").putImageData(new ImageData(toRgba(pixels, channels), width, height), 0, 0);
  canvas.setAttribute("aria-label", "What the translator makes of the drawing");
}

/** Where on the drawing a pointer is, in its pixels, whatever size it is shown at. */
function place(event) {
  const shown = paper.getBoundingClientRect();
  return [
    ((event.clientX - shown.left) * paper.width) / shown.width,
    ((event.clientY - shown.top) * paper.height) / shown.height,
  ];
}

function down(event) {
  if (!pen || event.button !== 0) return;
  event.preventDefault();
  keep();
  if (event.isTrusted) paper.setPointerCapture(event.pointerId);
  stroke = place(event);
  line(stroke, stroke);
}

function move(event) {
  if (!stroke) return;
  for (const each of event.getCoalescedEvents?.() ?? []) draw(place(each));
  draw(place(event));
}

function draw(next) {
  line(stroke, next);
  stroke = next;
}

function line(from, to) {
  pen.globalCompositeOperation = at("eraser").checked ? "destination-out" : "source-over";
  pen.strokeStyle = at("colour").value;
  pen.lineWidth = at("width").valueAsNumber;
  pen.lineCap = pen.lineJoin = "round";
  pen.beginPath();
  pen.moveTo(...from);
  pen.lineTo(...to);
  pen.stroke();
  translate();
}

/** Remember the drawing, for “Undo”. */
function keep() {
  before.push(pen.getImageData(0, 0, paper.width, paper.height));
  before = before.slice(-MOST_UNDONE);
  at("undo").disabled = false;
}

function undo() {
  if (!before.length) return;
  pen.putImageData(before.pop(), 0, 0);
  at("undo").disabled = !before.length;
  translate();
}

function clear() {
  keep();
  pen.clearRect(0, 0, paper.width, paper.height);
  translate();
}

/** Put a picture of any size on the drawing, fitted as those were that the translator learned from. */
async function load(file) {
  if (!file || !pen) return;
  clearProblem();
  const picture = await createImageBitmap(file).catch(() => {
    throw new BundleProblem(`${file.name} is no picture that this browser reads.`);
  });
  keep();
  const { source } = translator.spec;
  const place = placeOf([picture.width, picture.height], [paper.width, paper.height], source);
  const margin = source.channels === 4 ? null : marginOf(pixelsOf(picture), picture.width, picture.height);
  pen.globalCompositeOperation = "source-over";
  pen.clearRect(0, 0, paper.width, paper.height);
  if (margin) {
    pen.fillStyle = `rgb(${margin})`;
    pen.fillRect(0, 0, paper.width, paper.height);
  }
  pen.imageSmoothingEnabled = source.resample !== "nearest";
  pen.imageSmoothingQuality = "high";
  pen.drawImage(picture, ...place);
  await translate();
}

function pixelsOf(picture) {
  const { width, height } = picture;
  const canvas = Object.assign(document.createElement("canvas"), { width, height });
  const context = canvas.getContext("2d");
  context.drawImage(picture, 0, 0);
  return context.getImageData(0, 0, width, height).data;
}

async function save() {
  const { width, height, channels } = translator.spec;
  const link = document.createElement("a");
  link.href = URL.createObjectURL(await encodePng(result, width, height, channels));
  link.download = "translated.png";
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 60_000);
  say("Downloaded translated.png");
}

/** Open a bundle and begin with an empty drawing of its size; what is wrong with it is said in words. */
async function open(read) {
  try {
    clearProblem();
    say("Loading the translator …");
    translator = await openBundle(read, "image");
    const { source } = translator.spec;
    Object.assign(paper, { width: source.width, height: source.height });
    pen = paper.getContext("2d", { willReadFrequently: true });
    before = [];
    at("width").max = Math.max(Math.round(source.width / 4), 4);
    at("width").value = Math.max(Math.round(source.width / 32), 1);
    showWidth();
    describe(translator.spec);
    at("open").open = false;
    for (const id of ["clear", "picture", "undo"]) at(id).disabled = id === "undo";
    await translate();
  } catch (error) {
    complain(error);
  }
}

function describe({ family, width, height, channels, source, provenance: facts = {} }) {
  const kind = { 1: "grey", 3: "RGB", 4: "RGBA" };
  const parts = [
    `${family}, ${source.width} × ${source.height} ${kind[source.channels]} to ${width} × ${height} ${kind[channels]}`,
  ];
  if (facts.data_name) parts.push(`trained on ${facts.data_name}`);
  for (const name of ["data_licence", "data_attribution", "source_licence", "source_attribution"]) {
    if (facts[name]) parts.push(facts[name]);
  }
  at("about").textContent = `${parts.join(" · ")}. Everything runs in this page; nothing leaves this machine.`;
}

const showWidth = () => (at("width-value").value = `${at("width").value} px`);
const say = (text) => (at("status").textContent = text);

function complain(error) {
  console.error(error);
  say("");
  at("problem").textContent = error instanceof BundleProblem ? error.message : `Something went wrong: ${error.message}`;
  at("problem").hidden = false;
}

const clearProblem = () => (at("problem").hidden = true);

function listen() {
  paper.addEventListener("pointerdown", down);
  paper.addEventListener("pointermove", move);
  for (const ended of ["pointerup", "pointercancel"]) paper.addEventListener(ended, () => (stroke = null));
  at("width").addEventListener("input", showWidth);
  at("undo").addEventListener("click", undo);
  at("clear").addEventListener("click", clear);
  at("save").addEventListener("click", () => save().catch(complain));
  at("picture").addEventListener("change", (event) => load(event.target.files[0]).catch(complain));
  at("folder").addEventListener("change", (event) => open(fromFiles(event.target.files)));
  document.addEventListener("keydown", (event) => {
    if (event.key.toLowerCase() !== "z" || !(event.ctrlKey || event.metaKey)) return;
    event.preventDefault();
    undo();
  });
}

listen();
open(fromAddress(new URL(location).searchParams.get("bundle") ?? "bundle"));
