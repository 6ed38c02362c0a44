// Cells of a view too coarse to show each: their number and mean colour in square bins.

const BIN_UM = 32;
const MOST_BINS = 640;
const SAMPLED = 20000;

export class DensityLayer {
  constructor(facts, style, ramp) {
    this.style = style;
    this.ramp = ramp;
    this.side = Math.max(BIN_UM / facts.mpp, Math.max(facts.width, facts.height) / MOST_BINS);
    this.columns = Math.ceil(facts.width / this.side);
    this.rows = Math.ceil(facts.height / this.side);
    this.canvas = document.createElement("canvas");
    [this.canvas.width, this.canvas.height] = [this.columns, this.rows];
    this.version = 0;
  }

  draw(view) {
    if (this.version !== this.style.version) this.#paint();
    const [x0, y0] = view.toScreen(0, 0);
    const [x1, y1] = view.toScreen(this.columns * this.side, this.rows * this.side);
    view.context.drawImage(this.canvas, x0, y0, x1 - x0, y1 - y0);
  }

  #paint() {
    this.version = this.style.version;
    const { counts, sums } = this.#binned();
    const full = quantile(counts, 0.98);
    const last = this.ramp.length - 1;
    const pixels = new ImageData(this.columns, this.rows);
    const words = new Uint32Array(pixels.data.buffer);
    const plain = this.style.colour === "class" && this.style.cells.classes.length === 1;
    for (let i = 0; i < counts.length; i++) {
      if (!counts[i]) continue;
      const share = Math.min(1, counts[i] / full);
      const [r, g, b] = plain ? this.ramp[Math.round(share * last)] : [sums[3 * i] / counts[i], sums[3 * i + 1] / counts[i], sums[3 * i + 2] / counts[i]];
      words[i] = (Math.round(60 + 150 * Math.sqrt(share)) << 24) | (b << 16) | (g << 8) | r;
    }
    this.canvas.getContext("2d").putImageData(pixels, 0, 0);
  }

  #binned() {
    const { palette } = this.style, bins = this.#bins();
    const counts = new Float32Array(this.columns * this.rows);
    const sums = new Float32Array(3 * counts.length);
    for (let label = 1; label < palette.length; label++) {
      const colour = palette[label];
      if (!colour) continue;
      const i = bins[label];
      counts[i]++;
      sums[3 * i] += colour & 255;
      sums[3 * i + 1] += (colour >> 8) & 255;
      sums[3 * i + 2] += (colour >> 16) & 255;
    }
    return { counts, sums };
  }

  // Bin of each label.
  #bins() {
    if (!this.bins) {
      const xs = this.style.columns.get("centroid_x"), ys = this.style.columns.get("centroid_y");
      this.bins = Uint32Array.from(xs, (x, i) => Math.floor(ys[i] / this.side) * this.columns + Math.floor(x / this.side));
    }
    return this.bins;
  }
}

function quantile(counts, share) {
  const all = counts.filter((count) => count > 0), step = Math.ceil(all.length / SAMPLED) || 1;
  const some = all.filter((_, i) => i % step === 0).sort();
  return some[Math.floor((some.length - 1) * share)] || 1;
}
