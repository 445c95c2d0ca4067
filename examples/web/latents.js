// Seed to latent, the same as core/latents.py: RandomState(seed).standard_normal(dim) of NumPy, as float32.
//
// Two published algorithms make that stream: the Mersenne Twister MT19937 (Matsumoto and Nishimura, "Mersenne Twister:
// a 623-dimensionally equidistributed uniform pseudo-random number generator", ACM TOMACS 8, 1998, with the
// initialisation its authors gave it in 2002), and Marsaglia's polar method for normal deviates (Marsaglia and Bray,
// "A convenient method for generating normal variables", SIAM Review 6, 1964). NumPy froze both (NEP 19).

const STATE_WORDS = 624; // n of the paper
const MIDDLE_WORD = 397; // m
const TWIST = 0x9908b0df; // a, the last row of the twist matrix
const UPPER_BIT = 0x80000000; // w - r = 1 bit of one word …
const LOWER_BITS = 0x7fffffff; // … and r = 31 of the next are twisted together

export const LAST_SEED = 2 ** 32 - 1;

/** The Mersenne Twister MT19937: 32-bit words, and doubles of 53 random bits made of two of them. */
export class MersenneTwister {
  /** @param {number} seed 0 to 2³² - 1 */
  constructor(seed) {
    this.state = new Uint32Array(STATE_WORDS);
    this.state[0] = seed;
    for (let i = 1; i < STATE_WORDS; i++) {
      const previous = this.state[i - 1] ^ (this.state[i - 1] >>> 30);
      this.state[i] = Math.imul(1812433253, previous) + i;
    }
    this.next = STATE_WORDS;
  }

  /** @returns {number} a whole number, 0 to 2³² - 1 */
  word() {
    if (this.next === STATE_WORDS) this.#twist();
    let y = this.state[this.next++];
    y ^= y >>> 11;
    y ^= (y << 7) & 0x9d2c5680;
    y ^= (y << 15) & 0xefc60000;
    return (y ^ (y >>> 18)) >>> 0;
  }

  /** @returns {number} 0 ≤ u < 1, a multiple of 2⁻⁵³ */
  uniform() {
    const high = this.word() >>> 5; // 27 bits
    const low = this.word() >>> 6; // 26 bits
    return (high * 2 ** 26 + low) / 2 ** 53;
  }

  #twist() {
    const { state } = this;
    for (let i = 0; i < STATE_WORDS; i++) {
      const y = (state[i] & UPPER_BIT) | (state[(i + 1) % STATE_WORDS] & LOWER_BITS);
      state[i] = state[(i + MIDDLE_WORD) % STATE_WORDS] ^ (y >>> 1) ^ (y & 1 ? TWIST : 0);
    }
    this.next = 0;
  }
}

/** Normal deviates by the polar method, two from each point in the unit disc; of a pair, the second comes first. */
export class Normal {
  /** @param {number} seed 0 to 2³² - 1 */
  constructor(seed) {
    this.source = new MersenneTwister(seed);
    this.spare = null;
  }

  /** @returns {number} the next deviate, mean 0 and variance 1 */
  next() {
    if (this.spare !== null) {
      const kept = this.spare;
      this.spare = null;
      return kept;
    }
    let x, y, square;
    do {
      x = 2 * this.source.uniform() - 1;
      y = 2 * this.source.uniform() - 1;
      square = x * x + y * y;
    } while (square >= 1 || square === 0);
    const scale = Math.sqrt((-2 * Math.log(square)) / square);
    this.spare = scale * x;
    return scale * y;
  }
}

/**
 * One standard normal latent a seed, row after row.
 * @param {number[]} seeds each 0 to 2³² - 1
 * @param {number} dim values a row
 * @returns {Float32Array} seeds.length × dim values
 */
export function latents(seeds, dim) {
  const rows = new Float32Array(seeds.length * dim);
  seeds.forEach((seed, row) => {
    if (!Number.isInteger(seed) || seed < 0 || seed > LAST_SEED) {
      throw new RangeError(`the seed ${seed} is not a whole number from 0 to ${LAST_SEED}`);
    }
    const normal = new Normal(seed);
    for (let i = 0; i < dim; i++) rows[row * dim + i] = normal.next();
  });
  return rows;
}
