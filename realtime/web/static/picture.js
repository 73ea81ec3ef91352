// The picture: the newest one that came, and what is dragged on it.

const $ = (id) => document.getElementById(id);
const SMALLEST = 16; // pixels of a region's side
const ARROWS = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };
const STEPS = 40; // of an arrow, across the picture

export class Picture {
  constructor(link) {
    this.link = link;
    this.canvas = $("picture");
    this.context = this.canvas.getContext("2d");
    this.settings = { layout: "magnified", wipe: 0.5 };
    this.size = [640, 480];
    this.canvas.addEventListener("pointerdown", (event) => this.choose(event));
    this.canvas.addEventListener("keydown", (event) => this.press(event));
    this.canvas.addEventListener("blur", () => { this.draft = null; this.lay(); });
    $("wipe").addEventListener("pointerdown", (event) => this.wipe(event));
    $("wipe").addEventListener("keydown", (event) => {
      const step = { ArrowLeft: -0.02, ArrowRight: 0.02 }[event.key];
      if (step) link.set({ wipe: Math.min(Math.max(this.settings.wipe + step, 0), 1) });
    });
    new ResizeObserver(() => this.lay()).observe($("frame"));
  }

  // Only the newest waits while one is decoded: a slow phone skips pictures, and is never late.
  async draw(blob) {
    this.next = blob;
    if (this.busy) return;
    this.busy = true;
    while (this.next) {
      const newest = this.next;
      this.next = null;
      try {
        const bitmap = await createImageBitmap(newest);
        if (bitmap.width !== this.canvas.width || bitmap.height !== this.canvas.height) {
          [this.canvas.width, this.canvas.height] = [bitmap.width, bitmap.height];
          $("frame").style.setProperty("--ratio", `${bitmap.width} / ${bitmap.height}`);
          this.lay();
        }
        this.context.drawImage(bitmap, 0, 0);
        bitmap.close();
        this.drawn = (this.drawn ?? 0) + 1;
        this.canvas.dataset.drawn = this.drawn;
      } catch { /* half a picture, of a connection that broke */ }
    }
    this.busy = false;
  }

  show(settings) {
    this.settings = settings;
    this.lay();
  }

  // The layout, or the original while somebody compares.
  layout() { return this.settings.original ? "original" : this.settings.layout; }

  // Where the picture lies within its frame, which it need not fill.
  box() {
    const { clientWidth: w, clientHeight: h } = this.canvas;
    const scale = Math.min(w / this.canvas.width, h / this.canvas.height);
    const [width, height] = [this.canvas.width * scale, this.canvas.height * scale];
    return { left: (w - width) / 2, top: (h - height) / 2, width, height, scale };
  }

  // Pixels of the source, from a pointer; the right half of a double picture is the same place.
  at(event, half) {
    const box = this.box(), area = this.canvas.getBoundingClientRect();
    const x = (event.clientX - area.left - box.left) / box.scale;
    const y = (event.clientY - area.top - box.top) / box.scale;
    const inside = (v, most) => Math.min(Math.max(v, 0), most);
    return [inside(x - half * this.size[0], this.size[0]), inside(y, this.size[1])];
  }

  choose(event) {
    if (event.button !== 0) return;
    const side = this.layout() === "side";
    const area = this.canvas.getBoundingClientRect();
    const half = side && event.clientX - area.left > area.width / 2 ? 1 : 0;
    const start = this.at(event, half);
    const region = (end) => {
      const low = start.map((v, i) => Math.min(v, end[i])), high = start.map((v, i) => Math.max(v, end[i]));
      return [...low, high[0] - low[0], high[1] - low[1]].map(Math.round);
    };
    const large = (box) => Math.min(box[2], box[3]) >= SMALLEST;
    drag(this.canvas, event, (moved) => {
      const box = region(this.at(moved, half));
      this.draft = large(box) ? box : null;
      this.lay();
    }, (up) => {
      this.draft = null;
      const box = region(this.at(up, half));
      if (large(box)) this.link.set({ region: box });
      this.lay();
    }, () => { this.draft = null; this.lay(); });
  }

  // A region by keyboard is a draft until it is taken: what it magnifies begins anew each time.
  press(event) {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    const way = ARROWS[event.key], { region } = this.settings;
    if (event.key === "Enter" && this.draft) {
      this.link.set({ region: this.draft });
      this.draft = null;
    } else if (way || event.key === "Enter") {
      const middle = [0.25, 0.25, 0.5, 0.5].map((part, i) => Math.round(part * this.size[i % 2]));
      this.draft = this.stepped(this.draft ?? region ?? middle, way ?? [0, 0], event.shiftKey);
    } else if (event.key === "Escape") {
      if (!this.draft && region) this.link.set({ region: null });
      this.draft = null;
    } else return;
    event.preventDefault();
    this.lay();
  }

  stepped(region, way, sizes) {
    const within = (v, least, most) => Math.min(Math.max(v, least), most);
    const step = way.map((sign) => sign * Math.max(Math.round(this.size[0] / STEPS), 1));
    const extent = [0, 1].map((i) => within(region[2 + i] + (sizes ? step[i] : 0), SMALLEST, this.size[i] - (sizes ? region[i] : 0)));
    const corner = [0, 1].map((i) => within(region[i] + (sizes ? 0 : step[i]), 0, this.size[i] - extent[i]));
    return [...corner, ...extent];
  }

  wipe(event) {
    const box = this.box(), area = this.canvas.getBoundingClientRect();
    drag($("wipe"), event, (moved) => {
      const part = (moved.clientX - area.left - box.left) / box.width;
      this.settings.wipe = Math.min(Math.max(part, 0), 1);
      this.link.set({ wipe: this.settings.wipe });
      this.lay();
    });
  }

  lay() {
    const box = this.box(), layout = this.layout(), { wipe } = this.settings;
    const region = this.draft ?? this.settings.region;
    place("region", region, () => ({
      left: box.left + region[0] * box.scale, top: box.top + region[1] * box.scale,
      width: region[2] * box.scale, height: region[3] * box.scale,
    }));
    $("where").textContent = region
      ? `${region[2]} × ${region[3]} px at ${region[0]}, ${region[1]}${this.draft ? " …" : ""}`
      : "whole picture; drag on it for a part";
    place("wipe", layout === "split", () => ({
      left: box.left + wipe * box.width, top: box.top, height: box.height,
    }));
    $("wipe").setAttribute("aria-valuenow", Math.round(100 * wipe));
    const parts = layout === "split" || layout === "side";
    const [left, right] = document.querySelectorAll(".tag");
    const less = layout === "difference";
    left.hidden = layout === "magnified";
    left.textContent = less ? "magnified less original; grey is no change" : "original";
    right.hidden = !parts;
    left.style.left = `${box.left + 10}px`;
    right.style.right = `${box.left + 10}px`;
    left.style.bottom = right.style.bottom = `${box.top + 10}px`;
  }

  save() {
    this.canvas.toBlob((blob) => {
      const link = document.createElement("a");
      link.href = URL.createObjectURL(blob);
      link.download = `rtmag-${new Date().toISOString().slice(0, 19).replaceAll(":", "")}.png`;
      link.click();
      setTimeout(() => URL.revokeObjectURL(link.href), 1000);
    });
  }
}

// Follow a pointer until it is lifted, or taken away by the system.
export function drag(element, event, moved, ended = moved, cancelled = () => {}) {
  element.setPointerCapture(event.pointerId);
  event.preventDefault();
  const stop = new AbortController(), option = { signal: stop.signal };
  element.addEventListener("pointermove", moved, option);
  element.addEventListener("pointerup", (up) => { stop.abort(); ended(up); }, option);
  element.addEventListener("pointercancel", () => { stop.abort(); cancelled(); }, option);
}

function place(id, shown, where) {
  const element = $(id);
  element.hidden = !shown;
  if (shown) for (const [name, value] of Object.entries(where())) element.style[name] = `${value}px`;
}
