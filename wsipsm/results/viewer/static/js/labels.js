// Cells as tiles of ids: fetched once, turned into colours here, so a new colour asks nothing of the server.

import { idsOf } from "./ids.js";

const MARGIN = 1; // px around a tile that the server sends along
const AT_ONCE = 6;
const KEPT = 120;

export class LabelLayer {
  constructor(source, facts, redraw) {
    this.source = source;
    this.tile = facts.tile;
    this.downsample = facts.labels.downsample;
    this.levels = facts.labels.levels;
    this.mpp = facts.mpp * this.downsample;
    this.redraw = redraw;
    this.tiles = new Map();
    this.waiting = [];
    this.running = 0;
    this.kept = KEPT;
    this.closed = false;
    this.pixels = new ImageData(this.tile, this.tile);
    this.words = new Uint32Array(this.pixels.data.buffer);
  }

  close() {
    this.closed = true;
    this.tiles.clear();
    this.waiting = [];
  }

  // Coarsest level whose pixels are no larger than those of the screen.
  levelFor(mpp) {
    const level = Math.floor(Math.log2(Math.max(1, (mpp / this.mpp) * 1.001)));
    return Math.min(level, this.levels.length - 1);
  }

  // Tiles of a level that meet a box of level-0 px.
  *over(level, [x0, y0, x1, y1]) {
    const side = this.side(level);
    const [width, height] = this.levels[level];
    const last = (size) => Math.ceil(size / this.tile) - 1;
    const [right, bottom] = [Math.min(Math.floor(x1 / side), last(width)), Math.min(Math.floor(y1 / side), last(height))];
    for (let row = Math.max(0, Math.floor(y0 / side)); row <= bottom; row++) {
      for (let col = Math.max(0, Math.floor(x0 / side)); col <= right; col++) yield [col, row];
    }
  }

  side(level) {
    return this.tile * this.downsample * 2 ** level;
  }

  // Draws the tiles of a view, coarser ones where the right ones are not here yet.
  draw(view, style, filled) {
    const level = this.levelFor(view.mpp / view.ratio);
    this.waiting = [];
    const shown = [...this.over(level, view.box)];
    for (const [col, row] of shown) {
      if (!this.#drawTile(view, style, filled, [level, col, row], [col, row, 1])) this.#drawCoarser(view, style, filled, level, col, row);
    }
    this.kept = Math.max(KEPT, 3 * shown.length);
    this.#fetchNext();
  }

  #drawCoarser(view, style, filled, level, col, row) {
    for (let up = 1; level + up < this.levels.length; up++) {
      const parent = [level + up, col >> up, row >> up];
      if (this.tiles.get(parent.join("/"))?.ids === undefined) continue;
      this.#drawTile(view, style, filled, parent, [col, row, 2 ** up], level);
      return;
    }
  }

  // Draws the part of a tile that lies under tile (col, row), of which it holds parts x parts.
  #drawTile(view, style, filled, [level, tileCol, tileRow], [col, row, parts], shownLevel = level) {
    const tile = this.#tile(level, tileCol, tileRow);
    if (tile.ids === undefined) return false;
    if (tile.ids === null) return true;
    this.#paint(tile, style, filled);
    const side = this.side(shownLevel);
    const part = this.tile / parts;
    const [x0, y0] = view.toScreen(col * side, row * side).map(Math.round);
    const [x1, y1] = view.toScreen((col + 1) * side, (row + 1) * side).map(Math.round);
    view.context.drawImage(tile.canvas, (col % parts) * part, (row % parts) * part, part, part, x0, y0, x1 - x0, y1 - y0);
    return true;
  }

  #tile(level, col, row) {
    const key = `${level}/${col}/${row}`;
    let tile = this.tiles.get(key);
    if (!tile) tile = { key, path: `labels/${level}/${col}_${row}`, ids: undefined, version: "" };
    this.tiles.delete(key); // the last one that was used stands last
    this.tiles.set(key, tile);
    if (tile.ids === undefined && !tile.asked) this.waiting.push(tile);
    return tile;
  }

  #fetchNext() {
    while (this.running < AT_ONCE && this.waiting.length) this.#fetch(this.waiting.shift());
    for (const [key, tile] of this.tiles) {
      if (this.tiles.size <= this.kept) break;
      if (!tile.asked || tile.ids !== undefined) this.tiles.delete(key);
    }
  }

  async #fetch(tile) {
    tile.asked = true;
    this.running++;
    try {
      const png = await this.source.bytes(tile.path);
      if (png === null) tile.ids = null;
      else this.#unpack(tile, await idsOf(png));
    } catch {
      this.tiles.delete(tile.key); // asked for again when the view moves
    }
    this.running--;
    if (this.closed) return;
    if (tile.ids === undefined) this.#fetchNext();
    else this.redraw();
  }

  // Keeps ids for picking, and lists the pixels of cells with those at an edge for painting.
  #unpack(tile, { ids, width }) {
    const at = new Uint32Array(this.tile ** 2), of = new Uint32Array(this.tile ** 2), edge = new Uint8Array(this.tile ** 2);
    let count = 0;
    for (let y = 0; y < this.tile; y++) {
      let i = (y + MARGIN) * width + MARGIN;
      for (let x = 0; x < this.tile; x++, i++) {
        const id = ids[i];
        if (id === 0) continue;
        at[count] = y * this.tile + x;
        of[count] = id;
        edge[count++] = ids[i - 1] !== id || ids[i + 1] !== id || ids[i - width] !== id || ids[i + width] !== id ? 1 : 0;
      }
    }
    Object.assign(tile, { ids, width, at: at.slice(0, count), of: of.slice(0, count), edge: edge.slice(0, count) });
  }

  #paint(tile, style, filled) {
    const version = `${style.version} ${filled}`;
    if (tile.version === version) return;
    const { at, of, edge } = tile, { palette } = style, words = this.words;
    const inner = filled ? 0x8c000000 : 0;
    words.fill(0);
    for (let k = 0; k < at.length; k++) {
      const colour = palette[of[k]];
      if (colour) words[at[k]] = edge[k] ? colour : inner && ((colour & 0xffffff) | inner);
    }
    if (!tile.canvas) {
      tile.canvas = document.createElement("canvas");
      tile.canvas.width = tile.canvas.height = this.tile;
    }
    tile.canvas.getContext("2d").putImageData(this.pixels, 0, 0);
    tile.version = version;
  }

  // Label of the cell at a point (level-0 px) as it is drawn in a view, 0 for none; the tile is fetched if need be.
  async pick(x, y, view) {
    const level = this.levelFor(view.mpp / view.ratio);
    const pixel = this.downsample * 2 ** level;
    const [px, py] = [Math.floor(x / pixel), Math.floor(y / pixel)];
    if (px < 0 || py < 0) return 0;
    const [col, row] = [Math.floor(px / this.tile), Math.floor(py / this.tile)];
    const tile = this.#tile(level, col, row);
    if (tile.ids === undefined && !tile.asked) await this.#fetch(tile);
    if (!tile.ids) return 0;
    return tile.ids[(py - row * this.tile + MARGIN) * tile.width + (px - col * this.tile + MARGIN)];
  }
}
