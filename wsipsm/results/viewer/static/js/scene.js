// The slide and, over it, cells, regions and tile borders: OpenSeadragon moves the slide, one canvas draws the rest.

import { DensityLayer } from "./density.js";
import { LabelLayer } from "./labels.js";
import { OutlineLayer } from "./outlines.js";
import { drawSeams } from "./seams.js";

export const DENSITY_MPP = 4; // from this resolution of the screen on, um/px, cells are a map of their density
const OUTLINE_MPP = 0.45; // up to this one they have smooth outlines
const MOST_MAGNIFIED = 16; // screen pixels per pixel of the slide

// OpenSeadragon adds rules to the page unless it finds them there; our policy forbids them, so it finds an empty stand-in.
const standIn = document.createElementNS("urn:wsipsm:none", "style");
standIn.setAttribute("data-openseadragon-mobile-css", "");
document.head.append(standIn);

export class Scene extends EventTarget {
  constructor(picture, overlay, facts, source, style, ramp) {
    super();
    Object.assign(this, { overlay, facts, source, style, mode: "outlines", seams: false, selected: 0, drawOver: [] });
    const redraw = () => this.redraw();
    this.labels = new LabelLayer(source, facts, redraw);
    this.density = new DensityLayer(facts, style, ramp);
    this.outlines = new OutlineLayer(source, this.labels, redraw);
    this.context = overlay.getContext("2d");
    this.viewer = OpenSeadragon(this.#options(picture));
    this.viewer.innerTracker.keyDownHandler = this.viewer.innerTracker.keyHandler = null;
    this.viewer.addHandler("update-viewport", () => this.#draw());
    this.viewer.addHandler("resize", redraw);
    for (const kind of ["animation-finish", "open"]) this.viewer.addHandler(kind, () => this.dispatchEvent(new Event("moved")));
    this.viewer.addHandler("canvas-click", (event) => {
      if (!event.quick) return;
      event.preventDefaultAction = true;
      this.dispatchEvent(new CustomEvent("click", { detail: this.toLevel0(event.position) }));
    });
    this.viewer.addHandler("canvas-double-click", (event) => {
      event.preventDefaultAction = true;
      this.dispatchEvent(new CustomEvent("double-click", { detail: this.toLevel0(event.position) }));
    });
    style.addEventListener("change", redraw);
    this.opened = new Promise((done) => this.viewer.addOnceHandler("open", done));
  }

  #options(element) {
    const { width, height, tile, picture } = this.facts;
    const last = picture.levels - 1;
    return {
      element,
      drawer: "canvas",
      showNavigationControl: false,
      showSequenceControl: false,
      animationTime: 0.4,
      springStiffness: 9,
      blendTime: 0,
      maxZoomPixelRatio: MOST_MAGNIFIED,
      minZoomImageRatio: 0.5,
      visibilityRatio: 0.2,
      maxImageCacheCount: 240,
      gestureSettingsMouse: { clickToZoom: false, dblClickToZoom: false },
      tileSources: {
        width, height, tileSize: tile, tileOverlap: 0, minLevel: 0, maxLevel: last,
        getTileUrl: (level, col, row) => this.source.address(`picture/${level}/${col}_${row}`),
      },
    };
  }

  close() {
    this.labels.close();
    this.outlines.close();
    this.viewer.destroy();
    this.context.clearRect(0, 0, this.overlay.width, this.overlay.height);
  }

  redraw() {
    this.viewer.forceRedraw();
  }

  get mpp() {
    return this.facts.mpp / this.#scale();
  }

  get centre() {
    const { x, y } = this.viewer.viewport.getCenter(true);
    return [x * this.facts.width, y * this.facts.width];
  }

  // Moves to a point (level-0 px) at a resolution of the screen, um/px.
  go([x, y], mpp, immediately = false) {
    const { viewport } = this.viewer, { width } = this.facts;
    viewport.zoomTo((this.facts.mpp / mpp) * (width / viewport.getContainerSize().x), null, immediately);
    viewport.panTo(new OpenSeadragon.Point(x / width, y / width), immediately);
    viewport.applyConstraints(immediately);
  }

  toLevel0({ x, y }) {
    const [x0, y0] = this.#corner(), scale = this.#scale();
    return [(x - x0) / scale, (y - y0) / scale];
  }

  // CSS pixels per level-0 pixel.
  #scale() {
    const { viewport } = this.viewer;
    return (viewport.getZoom(true) * viewport.getContainerSize().x) / this.facts.width;
  }

  #corner() {
    const { x, y } = this.viewer.viewport.pixelFromPoint(new OpenSeadragon.Point(0, 0), true);
    return [x, y];
  }

  // Where things are now: what the layers draw by.
  #view() {
    const ratio = window.devicePixelRatio || 1;
    const { clientWidth: width, clientHeight: height } = this.overlay;
    if (this.overlay.width !== Math.round(width * ratio) || this.overlay.height !== Math.round(height * ratio)) {
      [this.overlay.width, this.overlay.height] = [Math.round(width * ratio), Math.round(height * ratio)];
    }
    const scale = this.#scale(), [x0, y0] = this.#corner(), context = this.context;
    return {
      context, ratio, mpp: this.facts.mpp / scale,
      box: [-x0 / scale, -y0 / scale, (width - x0) / scale, (height - y0) / scale],
      toScreen: (x, y) => [(x0 + x * scale) * ratio, (y0 + y * scale) * ratio],
      inLevel0(draw) {
        context.save();
        context.setTransform(scale * ratio, 0, 0, scale * ratio, x0 * ratio, y0 * ratio);
        draw(context, 1 / scale);
        context.restore();
      },
    };
  }

  #draw() {
    const view = this.#view();
    view.context.clearRect(0, 0, this.overlay.width, this.overlay.height);
    this.labels.waiting = []; // of an earlier view
    if (this.mode !== "hidden" && this.facts.cells.count) this.#drawCells(view);
    if (this.seams) drawSeams(view, this.facts);
    if (this.selected) this.#drawSelected(view);
    for (const draw of this.drawOver) draw(view);
    this.dispatchEvent(new CustomEvent("drawn", { detail: view }));
  }

  #drawCells(view) {
    const filled = this.mode === "filled";
    if (view.mpp >= DENSITY_MPP) this.density.draw(view);
    else if (view.mpp > OUTLINE_MPP || !this.outlines.draw(view, this.style, filled)) this.labels.draw(view, this.style, filled);
  }

  #drawSelected(view) {
    const x = this.style.columns.get("centroid_x")[this.selected], y = this.style.columns.get("centroid_y")[this.selected];
    const path = view.mpp <= OUTLINE_MPP ? this.outlines.pathOf(this.selected) : null;
    view.inLevel0((context, pixel) => {
      const shape = path ?? new Path2D();
      if (!path) shape.arc(x, y, Math.max(9 * pixel, 6 / this.facts.mpp), 0, 2 * Math.PI);
      for (const [colour, width] of [["#000", 4.5], ["#fff", 2.2]]) {
        context.strokeStyle = colour;
        context.lineWidth = width * pixel;
        context.stroke(shape);
      }
    });
  }

  // Label of the cell that is drawn at a point (level-0 px); 0 for none, and where only the density is drawn.
  async pick([x, y]) {
    const view = this.#view();
    if (view.mpp >= DENSITY_MPP) return 0;
    const label = await this.labels.pick(x, y, view.mpp <= OUTLINE_MPP ? { mpp: 0, ratio: 1 } : view);
    return this.style.palette[label] ? label : 0;
  }
}
