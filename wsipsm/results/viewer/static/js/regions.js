// Regions that the user draws: polygons with the number of cells in them, saved by the server after every change.

import { send } from "./api.js";

const COLOUR = "#ffc83c";
const CLOSE_PX = 9; // a click so near to the first corner closes the polygon

export class Regions extends EventTarget {
  constructor(scene, source, facts, style) {
    super();
    Object.assign(this, { scene, source, facts, style, list: [], ring: null, pointer: null, status: "", failed: false });
    scene.drawOver.push((view) => this.#draw(view));
    this.follow = (event) => {
      if (!this.ring) return;
      const box = scene.overlay.getBoundingClientRect();
      this.pointer = scene.toLevel0({ x: event.clientX - box.left, y: event.clientY - box.top });
      scene.redraw();
    };
    scene.viewer.element.addEventListener("pointermove", this.follow);
  }

  get drawing() {
    return this.ring !== null;
  }

  begin() {
    this.ring = [];
    this.#changed();
  }

  // Adds a corner; one at the first corner closes the polygon.
  add([x, y]) {
    const pixel = this.scene.mpp / this.facts.mpp;
    const first = this.ring[0];
    if (this.ring.length > 2 && Math.hypot(x - first[0], y - first[1]) < CLOSE_PX * pixel) return this.finish();
    this.ring.push([x, y]);
    return this.#changed();
  }

  back() {
    this.ring?.pop();
    this.#changed();
  }

  cancel() {
    this.ring = this.pointer = null;
    this.#changed();
  }

  finish() {
    const ring = this.ring?.filter(([x, y], i, all) => i === 0 || Math.hypot(x - all[i - 1][0], y - all[i - 1][1]) > 1e-6);
    this.ring = this.pointer = null;
    if (ring?.length > 2) {
      const taken = new Set(this.list.map((one) => one.name));
      let number = this.list.length + 1;
      while (taken.has(`Region ${number}`)) number++;
      this.list.push({ name: `Region ${number}`, rings: [ring] });
      return this.save();
    }
    return this.#changed();
  }

  rename(i, name) {
    this.list[i].name = name.trim() || `Region ${i + 1}`;
    return this.save();
  }

  remove(i) {
    this.list.splice(i, 1);
    return this.save();
  }

  // One save waits for the one before: the last one stands.
  save() {
    this.#changed();
    this.saving = (this.saving ?? Promise.resolve()).then(() => this.#put());
    return this.saving;
  }

  async #put() {
    try {
      const { file } = await (await send("PUT", this.source.address("regions"), this.list)).json();
      Object.assign(this, { failed: false, status: this.list.length ? `Saved for QuPath and --roi: ${file}` : "" });
    } catch (error) {
      Object.assign(this, { failed: true, status: `Not saved: ${error.message}` });
    }
    this.#changed();
  }

  async download() {
    const answer = await send("POST", this.source.address("regions.geojson"), this.list);
    const link = document.createElement("a");
    link.href = URL.createObjectURL(await answer.blob());
    link.download = `${this.facts.id}-regions.geojson`;
    link.click();
    URL.revokeObjectURL(link.href);
  }

  // Cells with their centroid inside a region, without refused ones, those of them that are shown, and its area in mm².
  figures({ rings }) {
    const xs = this.style.columns.get("centroid_x"), ys = this.style.columns.get("centroid_y");
    const classes = this.style.columns.get("class");
    const doubtful = this.facts.cells.classes.findIndex((one) => one.name === this.facts.cells.doubtful);
    const [x0, y0, x1, y1] = boundsOf(rings);
    let cells = 0, shown = 0;
    for (let i = 1; i < xs.length; i++) {
      if (!(xs[i] >= x0 && xs[i] <= x1 && ys[i] >= y0 && ys[i] <= y1)) continue;
      if (!rings.some((ring) => contains(ring, xs[i], ys[i]))) continue;
      if (classes[i] !== doubtful) cells++;
      if (this.style.palette[i]) shown++;
    }
    const mm2 = (rings.reduce((sum, ring) => sum + areaOf(ring), 0) * this.facts.mpp ** 2) / 1e6;
    return { cells, shown, mm2 };
  }

  show(i) {
    const [x0, y0, x1, y1] = boundsOf(this.list[i].rings);
    const { clientWidth, clientHeight } = this.scene.overlay;
    this.scene.go([(x0 + x1) / 2, (y0 + y1) / 2], 1.25 * this.facts.mpp * Math.max((x1 - x0) / clientWidth, (y1 - y0) / clientHeight));
  }

  #changed() {
    this.dispatchEvent(new Event("change"));
    this.scene.redraw();
  }

  #draw(view) {
    view.inLevel0((context, pixel) => {
      const closed = new Path2D(), open = new Path2D();
      for (const { rings } of this.list) for (const ring of rings) trace(closed, ring, true);
      const corners = this.ring && (this.pointer ? [...this.ring, this.pointer] : this.ring);
      if (corners?.length) trace(open, corners, false);
      context.fillStyle = `${COLOUR}22`;
      context.fill(closed, "evenodd");
      context.lineJoin = "round";
      for (const [colour, width] of [["#000a", 4], [COLOUR, 2]]) {
        context.strokeStyle = colour;
        context.lineWidth = width * pixel;
        context.stroke(closed);
        context.stroke(open);
      }
      context.fillStyle = COLOUR;
      for (const [x, y] of this.ring ?? []) context.fillRect(x - 3.5 * pixel, y - 3.5 * pixel, 7 * pixel, 7 * pixel);
    });
  }
}

function trace(path, ring, close) {
  ring.forEach(([x, y], i) => (i ? path.lineTo(x, y) : path.moveTo(x, y)));
  if (close) path.closePath();
}

function boundsOf(rings) {
  const xs = rings.flat().map(([x]) => x), ys = rings.flat().map(([, y]) => y);
  return [Math.min(...xs), Math.min(...ys), Math.max(...xs), Math.max(...ys)];
}

export function contains(ring, x, y) {
  let inside = false;
  for (let i = 0, j = ring.length - 1; i < ring.length; j = i++) {
    const [xi, yi] = ring[i], [xj, yj] = ring[j];
    if (yi > y !== yj > y && x < ((xj - xi) * (y - yi)) / (yj - yi) + xi) inside = !inside;
  }
  return inside;
}

function areaOf(ring) {
  return Math.abs(ring.reduce((sum, [x, y], i) => {
    const [nextX, nextY] = ring[(i + 1) % ring.length];
    return sum + x * nextY - nextX * y;
  }, 0)) / 2;
}
