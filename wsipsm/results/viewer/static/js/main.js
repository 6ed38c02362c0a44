// The page: opens a slide, ties the parts to each other, and keeps the address up to date.

import { getJson, Source, UNFINISHED } from "./api.js";
import { CellCard } from "./cell.js";
import { drawScale, SmallMap } from "./furniture.js";
import { listKeys, onKeys } from "./keys.js";
import * as link from "./link.js";
import { element, Panel } from "./panel.js";
import { Regions } from "./regions.js";
import { DENSITY_MPP, Scene } from "./scene.js";
import { SlideList, stateOf, toCome } from "./slides.js";
import { CellStyle } from "./style.js";

const byId = (id) => document.getElementById(id);
const PAN = 0.2; // of the view's width, a press of an arrow key
const MOST_AHEAD = 2_000_000; // cells of a slide whose columns are all fetched ahead, so that a colour waits for nothing
const NEAR_MPP = 0.25; // resolution of the screen at which a cell is shown that was asked for

let shown = null; // the slide that is open, with its parts
let opening = 0;
let ramp = [];
let standing = ""; // notice that stays while there is no other one

const slides = new SlideList((id) => open(id));
const map = new SmallMap((centre) => shown && shown.scene.go(centre, shown.scene.mpp));

function notice(text, ms = 0) {
  byId("notice").textContent = text || standing;
  byId("notice").hidden = !(text || standing);
  clearTimeout(notice.timer);
  if (ms) notice.timer = setTimeout(() => notice(""), ms);
}

async function open(id, wanted = link.read("")) {
  const row = slides.of(id), turn = ++opening;
  slides.mark(id);
  if (!row?.version && !row?.unfinished) return notice(row ? `${id}: ${row.error || stateOf(row)}; no results yet` : `${id}: no such slide here`);
  notice("Opening the slide …");
  try {
    const source = new Source(id, row.version || UNFINISHED);
    const facts = await getJson(source.address());
    const style = new CellStyle(source, facts, ramp);
    await style.load("class", "centroid_x", "centroid_y", ...facts.cells.measured.slice(0, 1).map(({ column }) => column));
    if (turn !== opening) return undefined; // another slide was chosen meanwhile
    return show(source, facts, style, wanted).catch((error) => notice(`${id}: ${error.message}`));
  } catch (error) {
    return notice(`${id}: ${error.message}`);
  }
}

async function show(source, facts, style, wanted) {
  shown?.scene.close();
  const scene = new Scene(byId("picture"), byId("overlay"), facts, source, style, ramp);
  const panel = new Panel(style, scene, remember);
  const regions = new Regions(scene, source, facts, style);
  shown = { id: facts.id, facts, source, style, scene, panel, regions, card: new CellCard(source, facts) };
  document.title = `${facts.id} - wsipsm view`;
  byId("title").textContent = facts.file;
  byId("summary").textContent = facts.summary;
  byId("warnings").hidden = !facts.warnings.length;
  byId("warnings").querySelector("ul").replaceChildren(...facts.warnings.map((textContent) => element("li", { textContent })));
  map.show(facts, source);
  scene.addEventListener("drawn", ({ detail: view }) => {
    drawScale(view.mpp);
    map.draw(view.box);
  });
  scene.addEventListener("moved", remember);
  scene.addEventListener("click", ({ detail: at }) => (regions.drawing ? regions.add(at) : pickAt(at)));
  scene.addEventListener("double-click", ({ detail: at }) => (regions.drawing ? regions.finish() : scene.go(at, scene.mpp / 2)));
  for (const one of [regions, style]) one.addEventListener("change", () => showRegions());
  regions.list = await getJson(source.address("regions")).catch(() => []);
  await scene.opened;
  await apply(wanted);
  showProgress();
  notice("");
  document.body.dataset.ready = facts.id;
  return fetchAhead(style);
}

// Of a slide that is not finished: what to wait for, and how far it is.
function showProgress() {
  const row = shown.facts.unfinished && slides.of(shown.id), before = standing;
  standing = row ? toCome(row) : "";
  if (row) byId("summary").textContent = stateOf(row);
  if (byId("notice").textContent === before) notice("");
}

async function fetchAhead(style) {
  if (style.cells.largest > MOST_AHEAD) return;
  for (const { column } of style.cells.measured) {
    if (shown.style === style) await style.load(column).catch(() => {});
  }
}

// Makes the slide that is open look as a link says.
async function apply(wanted) {
  const { scene, style, panel } = shown;
  const known = new Set(style.cells.measured.map(({ column }) => column));
  scene.mode = wanted.mode;
  scene.seams = wanted.seams;
  if (wanted.place) scene.go(wanted.place.centre, wanted.place.mpp, true);
  const colour = known.has(wanted.colour) ? wanted.colour : "class";
  if (colour !== "class") panel.measure = colour;
  const filters = new Map([...wanted.filters].filter(([name]) => known.has(name)));
  await style.load("class", ...(panel.measure ? [panel.measure] : []));
  await style.change({ colour, filters, hidden: wanted.hidden ?? style.hidden });
  await select(wanted.cell);
}

function remember() {
  if (!shown?.scene.viewer.isOpen()) return;
  const { id, scene, style } = shown;
  const { colour, filters, hidden } = style;
  const hash = link.written({ slide: id, centre: scene.centre, mpp: scene.mpp, colour, filters, hidden, mode: scene.mode, seams: scene.seams, cell: scene.selected });
  history.replaceState(null, "", hash);
}

async function pickAt(at) {
  const { scene } = shown;
  if (scene.mpp >= DENSITY_MPP) return notice("Zoom in to pick a cell", 2500);
  return select(await scene.pick(at));
}

async function select(label) {
  const { scene, card, style } = shown;
  if (label && !style.classOf(label)) {
    notice(`No cell has the label ${label}`, 4000);
    label = 0;
  }
  scene.selected = label;
  scene.redraw();
  await card.show(label).catch((error) => notice(error.message, 4000));
  remember();
}

function goToCell(label) {
  const { scene, style } = shown;
  if (style.classOf(label)) {
    scene.go([style.columns.get("centroid_x")[label], style.columns.get("centroid_y")[label]], Math.min(scene.mpp, NEAR_MPP));
  }
  return select(label);
}

function showRegions() {
  const { regions } = shown;
  byId("draw").setAttribute("aria-pressed", regions.drawing);
  byId("stage").classList.toggle("drawing", regions.drawing);
  if (regions.drawing) notice("Click the corners; Enter or a click on the first one closes the region, Esc cancels");
  else if (byId("notice").textContent.startsWith("Click the corners")) notice("");
  byId("no-regions").hidden = byId("download").hidden = false;
  byId(regions.list.length ? "no-regions" : "download").hidden = true;
  byId("saved").textContent = regions.status;
  byId("saved").classList.toggle("bad", regions.failed);
  byId("regions").replaceChildren(...regions.list.map((region, i) => regionItem(regions, region, i)));
}

function regionItem(regions, region, i) {
  const { cells, shown: visible, mm2 } = regions.figures(region);
  const name = element("input", { type: "text", value: region.name, ariaLabel: "Name of the region" });
  name.onchange = () => regions.rename(i, name.value);
  const go = element("button", { type: "button", textContent: "Show", onclick: () => regions.show(i) });
  const remove = element("button", { type: "button", textContent: "×", ariaLabel: `Remove ${region.name}`, onclick: () => regions.remove(i) });
  const figures = `${cells.toLocaleString("en")} cells, ${mm2.toPrecision(3)} mm², ${Math.round(cells / mm2).toLocaleString("en")}/mm²`;
  const some = visible === cells ? [] : [element("div", { className: "dim", textContent: `${visible.toLocaleString("en")} shown` })];
  return element("li", {}, element("div", { className: "head" }, name, go, remove), element("div", { className: "figures", textContent: figures }), ...some);
}

const with_ = (act) => (event) => shown && act(shown, event);
const zoom = (factor) => with_(({ scene }) => { scene.viewer.viewport.zoomBy(factor); scene.viewer.viewport.applyConstraints(); });
const pan = (x, y) => with_(({ scene }, event) => {
  const share = event.shiftKey ? PAN / 5 : PAN;
  const { width } = scene.viewer.viewport.getBounds();
  scene.viewer.viewport.panBy(new OpenSeadragon.Point(x * share * width, y * share * width));
  scene.viewer.viewport.applyConstraints();
});
const magnify = (times) => with_(({ scene }) => scene.go(scene.centre, 10 / times));
const beside = (step) => with_(({ id }) => open(slides.beside(id, step).id));
const home = with_(({ scene }) => scene.viewer.viewport.goHome());
const draw = with_(({ regions }) => (regions.drawing ? regions.cancel() : regions.begin()));
const nextColour = with_(({ panel, style }) => {
  const all = ["class", ...panel.measured.map(({ column }) => column)];
  return panel.colourBy(all[(all.indexOf(style.colour) + 1) % all.length]);
});
const copyLink = with_(async () => {
  remember();
  await navigator.clipboard.writeText(location.href).then(() => notice("Link copied", 2000), () => notice(location.href, 8000));
});

function listen() {
  byId("zoom-in").onclick = zoom(1.6);
  byId("zoom-out").onclick = zoom(1 / 1.6);
  byId("zoom-home").onclick = home;
  byId("draw").onclick = draw;
  byId("copy-link").onclick = copyLink;
  byId("show-help").onclick = () => byId("help").showModal();
  byId("download").onclick = with_(({ regions }) => regions.download().catch((error) => notice(error.message, 5000)));
  byId("go").onsubmit = (event) => {
    event.preventDefault();
    if (shown) goToCell(Number(byId("go-label").value));
  };
  byId("toggle-list").onclick = () => {
    const off = document.body.classList.toggle("no-list");
    byId("toggle-list").setAttribute("aria-expanded", !off);
  };
  onKeys({
    ArrowLeft: pan(-1, 0), ArrowRight: pan(1, 0), ArrowUp: pan(0, -1), ArrowDown: pan(0, 1),
    "+": zoom(1.6), "=": zoom(1.6), "-": zoom(1 / 1.6), 0: home, 1: magnify(5), 2: magnify(10), 3: magnify(20), 4: magnify(40),
    n: beside(1), p: beside(-1), c: nextColour, d: draw, l: copyLink, "?": () => byId("help").showModal(),
    h: with_(({ panel, scene }) => panel.drawAs(scene.mode === "hidden" ? "outlines" : "hidden")),
    f: with_(({ panel, scene }) => panel.drawAs(scene.mode === "filled" ? "outlines" : "filled")),
    g: with_(({ panel, scene }) => panel.showSeams(!scene.seams)),
    Enter: with_(({ regions, scene }) => (regions.drawing ? regions.finish() : pickAt(scene.centre))),
    Backspace: with_(({ regions }) => regions.drawing && regions.back()),
    Escape: with_(({ regions }) => (regions.drawing ? regions.cancel() : select(0))),
  });
  listKeys(byId("keys"));
  window.addEventListener("hashchange", () => {
    const wanted = link.read(location.hash);
    if (wanted.slide === shown?.id) apply(wanted);
    else open(wanted.slide, wanted);
  });
  slides.addEventListener("change", () => {
    const row = shown && slides.of(shown.id);
    if (row?.version && row.version !== shown.facts.version) open(shown.id, link.read(location.hash));
    else if (row) showProgress();
  });
}

async function start() {
  const wanted = link.read(location.hash);
  listen();
  const found = await slides.start();
  ramp = found.ramp;
  const first = slides.of(wanted.slide) ?? found.slides.find((slide) => slide.version) ?? found.slides.find((slide) => slide.status === "running" && slide.unfinished);
  if (first) await open(first.id, first.id === wanted.slide ? wanted : undefined);
  else notice("No slide is finished yet; the list goes on by itself");
}

window.wsipsm = { get shown() { return shown; } };
start().catch((error) => notice(error.message));
