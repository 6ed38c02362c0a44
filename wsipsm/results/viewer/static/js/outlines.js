// Smooth outlines of the cells of a high zoom, tile by tile of the finest labels.

import { unpacked } from "./style.js";

const KEPT = 60;
const REACH_UM = 50; // no cell hangs over further from its centroid

export class OutlineLayer {
  constructor(source, labels, redraw) {
    Object.assign(this, { source, labels, redraw, tiles: new Map(), closed: false });
  }

  close() {
    this.closed = true;
    this.tiles.clear();
  }

  // Draws all tiles of a view and those near it, whose cells may hang over; false while one in the view is missing.
  draw(view, style, filled) {
    const reach = (REACH_UM / this.labels.mpp) * this.labels.downsample;
    const [x0, y0, x1, y1] = view.box;
    const tiles = [...this.labels.over(0, [x0 - reach, y0 - reach, x1 + reach, y1 + reach])].map(([col, row]) => this.#tile(col, row));
    const inside = new Set([...this.labels.over(0, view.box)].map(([col, row]) => `${col}_${row}`));
    if (tiles.some((tile) => inside.has(tile.key) && !tile.rings)) return false;
    view.inLevel0((context, pixel) => {
      context.lineWidth = 1.7 * pixel;
      for (const tile of tiles) if (tile.rings) this.#drawTile(context, tile, style, filled);
    });
    return true;
  }

  #drawTile(context, tile, style, filled) {
    if (tile.version !== style.version) {
      tile.paths = new Map();
      tile.rings.forEach((ring, i) => {
        const colour = style.palette[tile.cells[i]];
        if (!colour) return;
        if (!tile.paths.has(colour)) tile.paths.set(colour, new Path2D());
        trace(tile.paths.get(colour), ring);
      });
      tile.version = style.version;
    }
    for (const [colour, path] of tile.paths) {
      context.strokeStyle = context.fillStyle = unpacked(colour);
      if (filled) {
        context.globalAlpha = 0.5;
        context.fill(path);
        context.globalAlpha = 1;
      }
      context.stroke(path);
    }
  }

  // Outline of a cell as a path in level-0 px, if it was loaded.
  pathOf(label) {
    for (const tile of this.tiles.values()) {
      const i = tile.rings ? tile.cells.indexOf(label) : -1;
      if (i < 0) continue;
      const path = new Path2D();
      trace(path, tile.rings[i]);
      return path;
    }
    return null;
  }

  #tile(col, row) {
    const key = `${col}_${row}`;
    let tile = this.tiles.get(key);
    if (!tile) {
      tile = { key };
      this.#fetch(tile);
    }
    this.tiles.delete(key);
    this.tiles.set(key, tile);
    for (const [old, one] of this.tiles) {
      if (this.tiles.size <= KEPT) break;
      if (one.rings) this.tiles.delete(old);
    }
    return tile;
  }

  async #fetch(tile) {
    try {
      const buffer = await this.source.bytes(`outlines/${tile.key}`);
      const count = new Uint32Array(buffer, 0, 1)[0];
      const starts = new Uint32Array(buffer, 4 * (1 + count), count + 1);
      const points = new Float32Array(buffer, 4 * (2 + 2 * count));
      tile.cells = Array.from(new Uint32Array(buffer, 4, count));
      tile.rings = tile.cells.map((_, i) => points.subarray(2 * starts[i], 2 * starts[i + 1]));
    } catch {
      this.tiles.delete(tile.key);
      return;
    }
    if (!this.closed) this.redraw();
  }
}

function trace(path, ring) {
  path.moveTo(ring[0], ring[1]);
  for (let i = 2; i < ring.length; i += 2) path.lineTo(ring[i], ring[i + 1]);
  path.closePath();
}
