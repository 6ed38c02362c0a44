// Keys of the page, and the list of them.

import { element } from "./panel.js";

export const KEYS = [
  ["Arrow keys", "Move; with Shift a little"],
  ["+ −", "Zoom in and out"],
  ["0", "Whole slide"],
  ["1 2 3 4", "5×, 10×, 20×, 40×"],
  ["N P", "Next and previous slide"],
  ["H", "Hide or show the cells"],
  ["F", "Cells filled or as outlines"],
  ["C", "Next colour"],
  ["Enter", "Pick the cell in the middle; close a region"],
  ["D", "Draw a region: click its corners"],
  ["Backspace", "Take back the last corner"],
  ["Esc", "Cancel the region; deselect the cell"],
  ["G", "Tile borders"],
  ["L", "Copy a link to this view"],
  ["?", "This list"],
  ["Mouse", "Drag to move, wheel to zoom, click to pick a cell"],
];

export function listKeys(list) {
  list.replaceChildren(...KEYS.flatMap(([keys, what]) => [
    element("dt", {}, ...(keys === "Mouse" || keys === "Arrow keys" ? [keys] : keys.split(" ").flatMap((key) => [element("kbd", { textContent: key }), " "]))),
    element("dd", { textContent: what }),
  ]));
}

// Calls the action of a key; not while something is typed, nor where a control needs the key itself.
export function onKeys(actions) {
  document.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey || document.querySelector("dialog[open]")) return;
    const at = event.target, control = at.closest?.("input, select, button, [role=radiogroup]");
    if (at.matches?.("input:is([type=text], [type=search], [type=number])")) return;
    if (control && ["Enter", " ", "ArrowLeft", "ArrowRight", "ArrowUp", "ArrowDown", "Backspace"].includes(event.key)) return;
    if (control?.matches("select") && event.key.length === 1) return;
    const act = actions[event.key.length === 1 ? event.key.toLowerCase() : event.key];
    if (!act) return;
    event.preventDefault();
    act(event);
  });
}
