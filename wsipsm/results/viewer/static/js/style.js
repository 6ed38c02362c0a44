// Which cells are shown, and in which colour: one table of colours by label, from columns of measurements.

const NO_CLASS = 255;
const SAMPLED = 50000;

export const packed = ([r, g, b]) => ((255 << 24) | (b << 16) | (g << 8) | r) >>> 0;
export const unpacked = (c) => `rgb(${c & 255} ${(c >> 8) & 255} ${(c >> 16) & 255})`;

export class CellStyle extends EventTarget {
  constructor(source, facts, ramp) {
    super();
    this.source = source;
    this.cells = facts.cells;
    this.ramp = Uint32Array.from(ramp.map(packed));
    this.classColours = this.cells.classes.map((one) => packed(one.color));
    this.columns = new Map();
    this.domains = new Map();
    this.colour = "class";
    this.filters = new Map();
    this.hidden = new Set([this.cells.doubtful]);
    this.palette = new Uint32Array(0); // 0 is a cell that is not shown
    this.shown = 0;
    this.version = 0;
  }

  async load(...names) {
    await Promise.all(names.filter((name) => !this.columns.has(name)).map(async (name) => {
      this.columns.set(name, await this.source.column(name));
    }));
    return this.columns.get(names[0]);
  }

  async change({ colour = this.colour, filters = this.filters, hidden = this.hidden }) {
    await this.load("class", ...(colour === "class" ? [] : [colour]), ...filters.keys());
    Object.assign(this, { colour, filters, hidden });
    this.#paint();
  }

  // Range that holds all but about the outermost two thousandths of a column; null without a value.
  domain(name) {
    if (!this.domains.has(name)) {
      const column = this.columns.get(name), step = Math.ceil(column.length / SAMPLED);
      const values = column.filter((value, i) => i % step === 0 && value === value).sort();
      const last = values.length - 1;
      const [low, high] = [values[Math.floor(last * 0.002)], values[Math.ceil(last * 0.998)]];
      this.domains.set(name, last < 0 ? null : [low, high > low ? high : low + 1]);
    }
    return this.domains.get(name);
  }

  classOf(label) {
    return this.cells.classes[this.columns.get("class")?.[label]]?.name;
  }

  #visible() {
    const classes = this.columns.get("class");
    const off = Uint8Array.from({ length: 256 }, (_, code) => code === NO_CLASS || this.hidden.has(this.cells.classes[code]?.name));
    const visible = new Uint8Array(classes.length);
    for (let i = 1; i < visible.length; i++) visible[i] = off[classes[i]] ? 0 : 1;
    for (const [name, [low, high]] of this.filters) {
      const values = this.columns.get(name);
      for (let i = 1; i < visible.length; i++) if (!(values[i] >= low && values[i] <= high)) visible[i] = 0;
    }
    return visible;
  }

  #paint() {
    const visible = this.#visible();
    const palette = new Uint32Array(visible.length);
    let shown = 0;
    if (this.colour === "class") {
      const classes = this.columns.get("class");
      for (let i = 1; i < palette.length; i++) if (visible[i]) { palette[i] = this.classColours[classes[i]]; shown++; }
    } else {
      const values = this.columns.get(this.colour);
      const [low, high] = this.domain(this.colour) ?? [0, 1];
      const last = this.ramp.length - 1;
      const scale = last / (high - low);
      for (let i = 1; i < palette.length; i++) {
        if (!visible[i]) continue;
        const at = Math.round((values[i] - low) * scale);
        palette[i] = this.ramp[at > 0 ? Math.min(at, last) : 0];
        shown++;
      }
    }
    Object.assign(this, { palette, shown, version: this.version + 1 });
    this.dispatchEvent(new Event("change"));
  }
}
