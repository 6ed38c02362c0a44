// Scale bar and small map.

const LONGEST_PX = 150;
const OF_40X = 10; // magnification times um/px, as scanners count it

const byId = (id) => document.getElementById(id);

export function drawScale(mpp) {
  const most = LONGEST_PX * mpp;
  const power = 10 ** Math.floor(Math.log10(most));
  const um = power * [5, 2, 1].find((step) => step * power <= most);
  byId("scale-line").style.width = `${um / mpp}px`;
  byId("scale-text").textContent = um >= 1000 ? `${um / 1000} mm` : `${um} µm`;
  const zoom = OF_40X / mpp;
  byId("scale-zoom").textContent = `${mpp.toPrecision(3)} µm/px, ${zoom >= 10 ? zoom.toFixed(0) : zoom.toPrecision(2)}×`;
}

export class SmallMap {
  constructor(go) {
    this.picture = byId("map-picture");
    this.frame = byId("map-view");
    byId("map").addEventListener("pointerdown", (event) => {
      event.preventDefault();
      const box = this.picture.getBoundingClientRect();
      if (this.facts) go([((event.clientX - box.left) / box.width) * this.facts.width, ((event.clientY - box.top) / box.height) * this.facts.height]);
    });
  }

  show(facts, source) {
    this.facts = facts;
    byId("map").hidden = !facts.picture.found;
    if (facts.picture.found) this.picture.src = source.address("thumbnail");
  }

  draw([x0, y0, x1, y1]) {
    if (!this.facts) return;
    const { width, height } = this.facts, { clientWidth, clientHeight } = this.picture;
    const [left, right] = [x0, x1].map((x) => (Math.min(Math.max(x / width, 0), 1)) * clientWidth);
    const [top, bottom] = [y0, y1].map((y) => (Math.min(Math.max(y / height, 0), 1)) * clientHeight);
    Object.assign(this.frame.style, { left: `${left}px`, top: `${top}px`, width: `${right - left}px`, height: `${bottom - top}px` });
  }
}
