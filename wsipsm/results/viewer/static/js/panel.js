// The panel: how cells are drawn, their colour, their classes, and the filter with its histogram.

import { unpacked } from "./style.js";

const BINS = 64;
const STEPS = 1000; // of the two sliders

const byId = (id) => document.getElementById(id);

export const short = (value) => {
  const size = Math.abs(value);
  return String(Number(size >= 100 ? value.toFixed(0) : size >= 10 ? value.toFixed(1) : value.toPrecision(3)));
};

export function element(name, properties = {}, ...children) {
  const made = Object.assign(document.createElement(name), properties);
  made.append(...children);
  return made;
}

export class Panel {
  constructor(style, scene, changed) {
    Object.assign(this, { style, scene, changed, measured: style.cells.measured });
    this.measure = this.measured[0]?.column ?? null;
    fill(byId("colour"), [["class", "Class"], ...this.#options()]);
    fill(byId("measure"), this.#options());
    byId("refused").textContent = style.cells.refused.note;
    this.#listen();
    style.addEventListener("change", () => this.show());
  }

  #options() {
    return this.measured.map(({ column, title }) => [column, title]);
  }

  #listen() {
    byId("colour").onchange = (event) => this.colourBy(event.target.value);
    byId("measure").onchange = (event) => this.filterBy(event.target.value);
    for (const input of document.querySelectorAll("[name=mode]")) input.onchange = () => this.drawAs(input.value);
    byId("seams").onchange = (event) => this.showSeams(event.target.checked);
    for (const id of ["low", "high"]) {
      byId(id).oninput = () => this.#slid(id);
      byId(`${id}-text`).onchange = () => this.#typed();
    }
    byId("clear-filter").onclick = () => this.setFilter(this.measure, null);
  }

  async colourBy(colour) {
    if (colour !== "class") this.measure = colour;
    await this.style.load(this.measure ?? "class");
    await this.style.change({ colour });
    this.changed();
  }

  async filterBy(measure) {
    this.measure = measure;
    await this.style.load(measure);
    this.show();
  }

  drawAs(mode) {
    this.scene.mode = mode;
    this.show();
    this.scene.redraw();
    this.changed();
  }

  showSeams(on) {
    this.scene.seams = on;
    this.show();
    this.scene.redraw();
    this.changed();
  }

  async setFilter(measure, range) {
    const filters = new Map(this.style.filters);
    if (range) filters.set(measure, range);
    else filters.delete(measure);
    await this.style.change({ filters });
    this.changed();
  }

  async setClassShown(name, on) {
    const hidden = new Set(this.style.hidden);
    if (on) hidden.delete(name);
    else hidden.add(name);
    await this.style.change({ hidden });
    this.changed();
  }

  // A slider at its end is no bound: the few values beyond the histogram stay.
  #slid(id) {
    const [low, high] = this.style.domain(this.measure) ?? [0, 1];
    const [from, to] = [byId("low"), byId("high")].map((input) => Number(input.value));
    if (from > to) byId(id).value = id === "low" ? to : from;
    const at = (step) => Number((low + ((high - low) * step) / STEPS).toPrecision(4));
    const [first, last] = [Number(byId("low").value), Number(byId("high").value)];
    const range = [first > 0 ? at(first) : -Infinity, last < STEPS ? at(last) : Infinity];
    this.setFilter(this.measure, first > 0 || last < STEPS ? range : null);
  }

  #typed() {
    const [low, high] = ["low-text", "high-text"].map((id) => byId(id).value.trim());
    const range = [low === "" ? -Infinity : Number(low), high === "" ? Infinity : Number(high)];
    this.setFilter(this.measure, low === "" && high === "" ? null : range);
  }

  // Makes the controls say what is so.
  show() {
    const { style, scene } = this;
    byId("colour").value = style.colour;
    document.querySelector(`[name=mode][value=${scene.mode}]`).checked = true;
    byId("seams").checked = scene.seams;
    const all = style.cells.count;
    byId("shown").textContent = style.shown === all ? `${all.toLocaleString("en")}` : `${style.shown.toLocaleString("en")} of ${all.toLocaleString("en")}`;
    this.#showRamp();
    this.#showClasses();
    this.#showFilter();
  }

  #showRamp() {
    const { style } = this, domain = style.colour === "class" ? null : style.domain(style.colour);
    byId("ramp").hidden = !domain;
    if (!domain) return;
    const canvas = byId("ramp-colours");
    canvas.width = style.ramp.length;
    const context = canvas.getContext("2d");
    style.ramp.forEach((colour, i) => {
      context.fillStyle = unpacked(colour);
      context.fillRect(i, 0, 1, canvas.height);
    });
    [byId("ramp-low").textContent, byId("ramp-high").textContent] = domain.map(short);
  }

  #showClasses() {
    const { style } = this, { classes, doubtful } = style.cells;
    byId("classes").replaceChildren(...classes.map((one, i) => {
      const swatch = element("span", { className: "swatch" });
      swatch.style.background = unpacked(style.classColours[i]);
      swatch.hidden = style.colour !== "class";
      const box = element("input", { type: "checkbox", checked: !style.hidden.has(one.name) });
      box.onchange = () => this.setClassShown(one.name, box.checked);
      const title = one.name === doubtful ? "Refused (Doubtful)" : one.name;
      return element("li", {}, element("label", {}, box, swatch, title, element("span", { className: "count", textContent: one.count.toLocaleString("en") })));
    }));
  }

  #showFilter() {
    const { style, measure } = this;
    if (!measure) { // a slide without cells after one with some
      byId("histogram").width = 0;
      byId("filters").replaceChildren();
    }
    if (!measure || !style.columns.has(measure)) return;
    byId("measure").value = measure;
    const domain = style.domain(measure) ?? [0, 1], range = style.filters.get(measure) ?? [-Infinity, Infinity];
    const step = (value, none) => Number.isFinite(value) ? Math.round(((value - domain[0]) / (domain[1] - domain[0])) * STEPS) : none;
    byId("low").value = step(range[0], 0);
    byId("high").value = step(range[1], STEPS);
    ["low-text", "high-text"].forEach((id, i) => { byId(id).value = Number.isFinite(range[i]) ? range[i] : ""; });
    byId("clear-filter").disabled = !style.filters.has(measure);
    this.#drawHistogram(domain, range);
    const title = (name) => this.measured.find(({ column }) => column === name)?.title ?? name;
    byId("filters").replaceChildren(...[...style.filters].map(([name, [low, high]]) => {
      const remove = element("button", { type: "button", textContent: "×", ariaLabel: `Remove the filter ${title(name)}` });
      remove.onclick = () => this.setFilter(name, null);
      const text = Number.isFinite(low) ? Number.isFinite(high) ? `${low} to ${high}` : `≥ ${low}` : `≤ ${high}`;
      return element("li", {}, `${title(name)} ${text}`, remove);
    }));
  }

  #drawHistogram(domain, range) {
    const canvas = byId("histogram"), ratio = window.devicePixelRatio || 1;
    const [width, height] = [canvas.clientWidth * ratio, canvas.clientHeight * ratio];
    [canvas.width, canvas.height] = [width, height];
    const counts = histogram(this.style.columns.get(this.measure), domain);
    const most = Math.max(...counts, 1), context = canvas.getContext("2d");
    const { ramp, colour } = this.style;
    counts.forEach((count, i) => {
      const value = domain[0] + ((i + 0.5) / BINS) * (domain[1] - domain[0]);
      const kept = value >= range[0] && value <= range[1];
      context.fillStyle = !kept ? "#43484e" : colour === this.measure ? unpacked(ramp[Math.round((i / (BINS - 1)) * (ramp.length - 1))]) : "#8fb9e0";
      const tall = Math.ceil((count / most) * (height - 2 * ratio));
      context.fillRect((i * width) / BINS, height - tall, width / BINS - ratio * 0.6, tall);
    });
    canvas.ariaLabel = `Histogram from ${short(domain[0])} to ${short(domain[1])}; the fullest of ${BINS} bins has ${most} cells`;
  }
}

function fill(select, options) {
  select.replaceChildren(...options.map(([value, textContent]) => element("option", { value, textContent })));
}

function histogram(values, [low, high]) {
  const counts = new Array(BINS).fill(0), scale = BINS / (high - low);
  for (let i = 0; i < values.length; i++) {
    const bin = Math.floor((values[i] - low) * scale);
    if (bin >= 0 && bin < BINS) counts[bin]++;
  }
  return counts;
}
