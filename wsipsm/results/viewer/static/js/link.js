// The view as the part of the address after #, so that a link restores it.

const number = (text) => (text === "" || text === null ? NaN : Number(text));

export function written({ slide, centre, mpp, colour, filters, hidden, mode, seams, cell }) {
  const parts = new URLSearchParams({ slide, x: centre[0].toFixed(1), y: centre[1].toFixed(1), mpp: Number(mpp.toPrecision(5)) });
  if (colour !== "class") parts.set("colour", colour);
  for (const [name, [low, high]] of filters) parts.append("filter", `${name}:${Number.isFinite(low) ? low : ""}:${Number.isFinite(high) ? high : ""}`);
  parts.set("off", [...hidden].join(","));
  if (mode !== "outlines") parts.set("cells", mode);
  if (seams) parts.set("seams", "1");
  if (cell) parts.set("cell", cell);
  return `#${parts}`;
}

export function read(hash) {
  const parts = new URLSearchParams(hash.slice(1));
  const filters = new Map();
  for (const text of parts.getAll("filter")) {
    const [name, low, high] = text.split(":");
    filters.set(name, [low ? Number(low) : -Infinity, high ? Number(high) : Infinity]);
  }
  const [x, y, mpp] = ["x", "y", "mpp"].map((name) => number(parts.get(name)));
  return {
    slide: parts.get("slide") ?? "",
    place: [x, y, mpp].every(Number.isFinite) && mpp > 0 ? { centre: [x, y], mpp } : null,
    colour: parts.get("colour") ?? "class",
    filters,
    hidden: parts.has("off") ? new Set(parts.get("off").split(",").filter(Boolean)) : null,
    mode: ["filled", "hidden"].includes(parts.get("cells")) ? parts.get("cells") : "outlines",
    seams: parts.has("seams"),
    cell: number(parts.get("cell")) || 0,
  };
}
