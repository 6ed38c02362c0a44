// Ids of a label tile, from a PNG that has neither filters nor a colour profile.
// The bytes are unpacked here: what a canvas gives back is not exact in browsers that guard against fingerprinting.

const HEAD = 8;

export async function idsOf(png) {
  const view = new DataView(png);
  let width = 0, height = 0, packed = null;
  for (let at = HEAD; at < png.byteLength; at += 12 + view.getUint32(at)) {
    const kind = view.getUint32(at + 4);
    if (kind === 0x49484452) [width, height] = [view.getUint32(at + 8), view.getUint32(at + 12)]; // IHDR
    if (kind === 0x49444154) packed = new Uint8Array(png, at + 8, view.getUint32(at)); // IDAT
  }
  const lines = new Uint8Array(await unpacked(packed));
  const ids = new Uint32Array(width * height);
  for (let y = 0, out = 0, at = 0; y < height; y++) {
    at++; // the kind of filter of the line: none
    for (let x = 0; x < width; x++, at += 3) ids[out++] = lines[at] | (lines[at + 1] << 8) | (lines[at + 2] << 16);
  }
  return { ids, width, height };
}

function unpacked(bytes) {
  const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("deflate"));
  return new Response(stream).arrayBuffer();
}
