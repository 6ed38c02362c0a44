// Borders of the tiles that the slide was worked on in; those that failed are marked.

const LEAST_PX = 7; // tiles that are smaller on the screen are not drawn

export function drawSeams(view, { lattice, width, height }) {
  const side = lattice.core;
  view.inLevel0((context, pixel) => {
    if (side / pixel < LEAST_PX) return;
    const [left, top, right, bottom] = [Math.max(0, view.box[0]), Math.max(0, view.box[1]), Math.min(width, view.box[2]), Math.min(height, view.box[3])];
    const lines = new Path2D();
    for (let x = Math.ceil(left / side) * side; x <= right; x += side) line(lines, x, top, x, bottom);
    for (let y = Math.ceil(top / side) * side; y <= bottom; y += side) line(lines, left, y, right, y);
    for (const [colour, thick] of [["#fffb", 3], ["#c2185b", 1.2]]) {
      context.strokeStyle = colour;
      context.lineWidth = thick * pixel;
      context.stroke(lines);
    }
    context.fillStyle = "#e5393555";
    for (const name of lattice.failed) {
      const [row, col] = name.split("_").map(Number);
      context.fillRect(col * side, row * side, Math.min(side, width - col * side), Math.min(side, height - row * side));
    }
  });
}

function line(path, x0, y0, x1, y1) {
  path.moveTo(x0, y0);
  path.lineTo(x1, y1);
}
