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
