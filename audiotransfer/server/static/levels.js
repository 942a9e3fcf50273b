// Loudness of a mix from powers of its tracks (ITU-R BS.1770-5), without its samples.

const GATE = 10 ** ((-70 + 0.691) / 10);

export class Levels {
  // `values` are matrices [hops, N, N] of K-weighted powers, each 0.1 s.
  constructor({ tracks, hops }, values) {
    this.tracks = tracks;
    this.hops = hops;
    this.values = values;
  }

  // LUFS of a mix with these linear gains by track; -Infinity for silence.
  loudness(gains) {
    const count = this.tracks.length;
    const used = this.tracks.map((name, index) => [index, gains[name] || 0]).filter(([, gain]) => gain !== 0);
    const powers = new Float64Array(this.hops);
    for (let hop = 0; hop < this.hops; hop += 1) {
      const base = hop * count * count;
      let sum = 0;
      for (const [i, one] of used) for (const [j, other] of used) sum += one * other * this.values[base + i * count + j];
      powers[hop] = sum;
    }
    let blocks = powers;
    if (this.hops >= 4) blocks = powers.slice(3).map((_, n) => (powers[n] + powers[n + 1] + powers[n + 2] + powers[n + 3]) / 4);
    blocks = blocks.filter((power) => power > GATE);
    if (!blocks.length) return -Infinity;
    const mean = (all) => all.reduce((sum, one) => sum + one, 0) / all.length;
    const gate = 0.1 * mean(blocks);
    const loud = blocks.filter((power) => power > gate);
    return -0.691 + 10 * Math.log10(mean(loud));
  }
}
