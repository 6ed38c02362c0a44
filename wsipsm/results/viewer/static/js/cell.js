// The cell that is selected, with its measurements.

import { getJson } from "./api.js";
import { element, short } from "./panel.js";

const byId = (id) => document.getElementById(id);
const UNSHOWN = new Set(["anchor"]);

export class CellCard {
  constructor(source, facts) {
    Object.assign(this, { source, facts, asked: 0 });
    this.titles = new Map(facts.cells.measured.map(({ column, title }) => [column, title]));
  }

  async show(label) {
    this.asked = label;
    byId("no-cell").hidden = label !== 0;
    byId("cell").hidden = label === 0;
    if (!label) return;
    const cell = await getJson(this.source.address(`cells/${label}`));
    if (this.asked !== label) return; // another was picked meanwhile
    byId("cell").replaceChildren(...this.#lines(cell).flatMap(([name, value]) => [
      element("dt", { textContent: name }), element("dd", { textContent: value, title: value }),
    ]));
  }

  #lines(cell) {
    const lines = [["Label", String(cell.label)], ["Class", cell.class]];
    for (const [name, value] of Object.entries(cell)) {
      if (this.titles.has(name)) lines.push([this.titles.get(name), value === null ? "none" : short(value)]);
    }
    const [x, y] = [cell.centroid_x - this.facts.origin[0], cell.centroid_y - this.facts.origin[1]];
    lines.push(["Centre in QuPath, px", `${x.toFixed(1)}, ${y.toFixed(1)}`]);
    const known = new Set(["label", "class", "uuid", "centroid_x", "centroid_y", ...this.titles.keys(), ...UNSHOWN]);
    for (const [name, value] of Object.entries(cell)) if (!known.has(name)) lines.push([name.replaceAll("_", " "), String(value)]);
    return [...lines, ["UUID", cell.uuid]];
  }
}
