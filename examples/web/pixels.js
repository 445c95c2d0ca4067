// Pixels in one number of channels and another, as data import has them: without alpha a picture lies on white, and
// grey is luma (ITU-R BT.601). For browsers and Node.

/**
 * @param {Uint8ClampedArray|Uint8Array} rgba straight alpha, as canvases give it
 * @param {1|3|4} channels
 * @returns {Uint8Array} what a translator takes; where nothing is seen, colour is 0
 */
export function fromRgba(rgba, channels) {
  const out = new Uint8Array((rgba.length / 4) * channels);
  for (let i = 0, o = 0; i < rgba.length; i += 4, o += channels) {
    const alpha = rgba[i + 3];
    const colour = [rgba[i], rgba[i + 1], rgba[i + 2]];
    if (channels === 4) {
      out.set(alpha ? [...colour, alpha] : [0, 0, 0, 0], o);
      continue;
    }
    const [red, green, blue] = colour.map((value) => Math.round((value * alpha) / 255 + (255 - alpha)));
    out.set(channels === 3 ? [red, green, blue] : [(red * 19595 + green * 38470 + blue * 7471 + 32768) >> 16], o);
  }
  return out;
}

/**
 * @param {Uint8Array} pixels of 1, 3 or 4 channels, straight alpha
 * @param {1|3|4} channels
 * @returns {Uint8ClampedArray} RGBA, as canvases take it
 */
export function toRgba(pixels, channels) {
  const rgba = new Uint8ClampedArray((pixels.length / channels) * 4);
  for (let i = 0, o = 0; o < rgba.length; i += channels, o += 4) {
    const pixel = pixels.subarray(i, i + channels);
    rgba.set(channels === 1 ? [pixel[0], pixel[0], pixel[0], 255] : [...pixel.subarray(0, 3), pixel[3] ?? 255], o);
  }
  return rgba;
}

/**
 * Where a picture lies on a page, as data import fits it.
 *
 * @param {[number, number]} sides its width and height
 * @param {[number, number]} page those of the page
 * @param {{fit: string, resample: string}} source of the translator's spec
 * @returns {[number, number, number, number]} left, top, width, height; what is outside the page is cut off
 */
export function placeOf(sides, page, { fit, resample }) {
  const factors = page.map((side, axis) => side / sides[axis]);
  let scales = factors;
  if (fit === "keep") scales = [1, 1];
  if (fit === "crop") scales = Array(2).fill(Math.max(...factors));
  if (fit === "pad") {
    const scale = Math.min(...factors);
    scales = Array(2).fill(resample === "nearest" && scale > 1 ? Math.floor(scale) : scale);
  }
  // Pillow cuts between pixels where it crops; elsewhere pictures have whole pixels.
  const sized = sides.map((side, axis) => (fit === "crop" ? side * scales[axis] : Math.max(rounded(side * scales[axis]), 1)));
  const corner = sized.map((side, axis) => (fit === "crop" ? (page[axis] - side) / 2 : Math.trunc((page[axis] - side) / 2)));
  return [...corner, ...sized];
}

/** To the nearest whole number; halves to the even one, as Python rounds. */
function rounded(value) {
  const whole = Math.round(value);
  return value % 1 === 0.5 && whole % 2 ? whole - 1 : whole;
}

/**
 * The colour of the margins around a picture: the commonest one of its border, or null where a pixel is transparent.
 *
 * @param {Uint8ClampedArray|Uint8Array} rgba
 * @returns {[number, number, number]|null}
 */
export function marginOf(rgba, width, height) {
  for (let i = 3; i < rgba.length; i += 4) if (rgba[i] < 255) return null;
  const counts = new Map();
  const note = (x, y) => {
    const i = (y * width + x) * 4;
    const colour = (rgba[i] << 16) | (rgba[i + 1] << 8) | rgba[i + 2];
    counts.set(colour, (counts.get(colour) ?? 0) + 1);
  };
  for (let x = 0; x < width; x++) for (const y of [0, height - 1]) note(x, y);
  for (let y = 0; y < height; y++) for (const x of [0, width - 1]) note(x, y);
  const most = Math.max(...counts.values());
  const colour = Math.min(...[...counts].filter(([, count]) => count === most).map(([each]) => each));
  return [colour >> 16, (colour >> 8) & 255, colour & 255];
}
