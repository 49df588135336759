/** LeRobot's resolution of a quantile (`compute_stats.py`, `RunningQuantileStats`). */
const BINS = 5000;

/** LeRobot's room at the ends of the first values' range, and, relative to it, of a range that grew. */
const FIRST_PADDING = 1e-10;
const GROWN_PADDING = 1e-10;

/** Equal bins over a closed range; quantiles are read off with linear interpolation inside a bin, as LeRobot does. */
export class Histogram {
  #low: number;
  #high: number;
  #step: number;
  #bins = new Float64Array(BINS);

  /** @param min smallest value that will be added; `max` the largest */
  constructor(min: number, max: number) {
    this.#low = min - FIRST_PADDING;
    this.#high = max + FIRST_PADDING;
    this.#step = (this.#high - this.#low) / BINS;
  }

  add(value: number, weight = 1): void {
    this.#bins[this.#binOf(value)]! += weight;
  }

  /** Makes room for values from `min` to `max`; what is there already moves to the bins that its old bins' centres fall into. */
  stretch(min: number, max: number): void {
    const padding = (max - min) * GROWN_PADDING;
    const wider = new Histogram(0, 0);
    wider.#low = min - padding;
    wider.#high = max + padding;
    wider.#step = (wider.#high - wider.#low) / BINS;
    wider.take(this);
    this.#low = wider.#low;
    this.#high = wider.#high;
    this.#step = wider.#step;
    this.#bins = wider.#bins;
  }

  /** Adds what another one holds; its range must lie within this one's. */
  take(other: Histogram): void {
    for (let bin = 0; bin < BINS; bin++) {
      const weight = other.#bins[bin]!;
      if (weight > 0) this.add((other.#edge(bin) + other.#edge(bin + 1)) / 2, weight);
    }
  }

  /** @param target how many values lie below: the quantile times the number of values */
  quantile(target: number): number {
    let before = 0;
    for (let bin = 0; bin < BINS; bin++) {
      const weight = this.#bins[bin]!;
      if (before + weight >= target) {
        if (bin === 0) return this.#edge(0);
        if (weight === 0) return this.#edge(bin);
        const fraction = (target - before) / weight;
        return this.#edge(bin) + fraction * (this.#edge(bin + 1) - this.#edge(bin));
      }
      before += weight;
    }
    return this.#high;
  }

  #edge(bin: number): number {
    return bin === BINS ? this.#high : this.#low + bin * this.#step;
  }

  #binOf(value: number): number {
    // For values so large that the padding vanishes in rounding, the step is 0 and everything falls into the first bin.
    const guess = this.#step > 0 ? Math.trunc((value - this.#low) / this.#step) : 0;
    let bin = Math.min(Math.max(guess, 0), BINS - 1);
    while (bin > 0 && value < this.#edge(bin)) bin--;
    while (bin < BINS - 1 && this.#step > 0 && value >= this.#edge(bin + 1)) bin++;
    return bin;
  }
}
