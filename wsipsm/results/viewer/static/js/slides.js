// The list of slides with their status; asked for again while the run goes on.

import { getJson } from "./api.js";
import { element } from "./panel.js";

const WHILE_RUNNING_MS = 4000;
const OTHERWISE_MS = 20000;

const byId = (id) => document.getElementById(id);

export class SlideList extends EventTarget {
  constructor(open) {
    super();
    Object.assign(this, { open, slides: [], rows: new Map(), current: "" });
    byId("find-slide").oninput = () => this.#filter();
  }

  async start() {
    const found = await this.#read();
    this.#wait(found.state);
    return found;
  }

  #wait(state) {
    setTimeout(async () => {
      const found = await this.#read().catch(() => null);
      byId("run").classList.toggle("bad", !found);
      if (!found) byId("run").textContent = "wsipsm view has ended";
      this.#wait(found?.state);
    }, state === "running" ? WHILE_RUNNING_MS : OTHERWISE_MS);
  }

  async #read() {
    const found = await getJson("/api/slides");
    this.slides = found.slides;
    this.#show(found);
    this.dispatchEvent(new Event("change"));
    return found;
  }

  of(id) {
    return this.slides.find((slide) => slide.id === id);
  }

  // The slide that stands some places further among those that can be opened.
  beside(id, step) {
    const ready = this.slides.filter((slide) => slide.version);
    const at = ready.findIndex((slide) => slide.id === id);
    return ready[(at + step + ready.length) % ready.length];
  }

  mark(id) {
    this.current = id;
    for (const [other, { item }] of this.rows) item.firstChild.setAttribute("aria-current", other === id);
    this.rows.get(id)?.item.scrollIntoView({ block: "nearest" });
  }

  #show({ state, slides }) {
    const left = slides.filter((slide) => !slide.version && ["waiting", "running"].includes(slide.status)).length;
    byId("run").textContent = state === "running" ? `Run goes on: ${left} of ${slides.length} slides left` : state === "interrupted" ? "Run was interrupted" : "";
    for (const slide of slides) {
      const key = JSON.stringify(slide);
      const row = this.rows.get(slide.id);
      if (row?.key === key) continue;
      const item = this.#item(slide);
      if (row) row.item.replaceWith(item);
      else byId("slides").append(item);
      this.rows.set(slide.id, { key, item });
    }
    this.#filter();
  }

  #item(slide) {
    const button = element("button", { type: "button", title: slide.name });
    button.setAttribute("aria-current", slide.id === this.current);
    const thumb = slide.version
      ? element("img", { className: "thumb", loading: "lazy", alt: "", src: `/api/slides/${encodeURIComponent(slide.id)}/thumbnail?v=${slide.version}` })
      : element("span", { className: "thumb" });
    button.append(thumb, element("span", { className: "name", textContent: slide.id }), element("span", { className: "state", textContent: stateOf(slide) }));
    const said = slide.error || slide.warnings;
    if (said) button.append(element("span", { className: "mark", textContent: `⚠ ${said}`, title: said }));
    button.onclick = () => this.open(slide.id);
    return element("li", { className: slide.status }, button);
  }

  #filter() {
    const text = byId("find-slide").value.trim().toLowerCase();
    for (const [id, { item }] of this.rows) item.hidden = !id.toLowerCase().includes(text);
  }
}

// What stands over the picture of a slide whose cells are still to come.
export function toCome(slide) {
  return `${slide.status === "running" ? "Still being processed" : "Not processed yet"}: cells appear when the slide is done`;
}

export function stateOf(slide) {
  const cells = `${slide.cells.toLocaleString("en")} cells`;
  if (slide.status === "done") return cells;
  if (slide.status === "running") return `running: ${slide.tiles_done} of ${slide.tiles_total || "?"} tiles`;
  if (slide.status === "partial") return `partial: ${cells}`;
  return slide.status;
}
