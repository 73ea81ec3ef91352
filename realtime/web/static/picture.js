// The live picture, and the region and the border of the split layout that are dragged on it.

import { download } from "./plot.js";

const $ = (id) => document.getElementById(id);
const SMALLEST_SIDE = 16; // pixels, of a region
const ARROWS = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };
const STALE_MS = 3000; // after which a picture without a successor is stale
const ARROW_STEPS = 40; // presses of an arrow key across the width of the picture

const clamp = (value, low, high) => Math.min(Math.max(value, low), high);

export class Picture {
  constructor(connection) {
    this.connection = connection;
    this.canvas = $("picture");
    this.context = this.canvas.getContext("2d");
    this.settings = { layout: "magnified", wipe: 0.5 };
    this.size = [640, 480]; // width and height of the source in pixels
    this.draft = null; // a region that is not confirmed yet: [x, y, width, height] in pixels
    this.tool = null; // draws something else than the region to magnify, see marks.js
    this.onOverlay = () => {};
    this.canvas.addEventListener("pointerdown", (event) => this.dragRegion(event));
    this.canvas.addEventListener("keydown", (event) => this.handleKey(event));
    this.canvas.addEventListener("blur", () => this.setDraft(null));
    $("wipe").addEventListener("pointerdown", (event) => this.dragWipe(event));
    $("wipe").addEventListener("keydown", (event) => {
      const step = { ArrowLeft: -0.02, ArrowRight: 0.02 }[event.key];
      if (step) connection.set({ wipe: clamp(this.settings.wipe + step, 0, 1) });
    });
    new ResizeObserver(() => this.updateOverlay()).observe($("frame"));
  }

  // Draw a JPEG. Only the newest one waits while another is decoded, so a slow phone skips
  // pictures and adds no delay.
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
          this.updateOverlay();
        }
        this.context.drawImage(bitmap, 0, 0);
        bitmap.close();
        this.countPicture();
        this.canvas.dataset.drawn = this.drawn;
      } catch { /* an incomplete picture, as the connection broke */ }
    }
    this.busy = false;
  }

  countPicture() {
    const now = Date.now();
    this.interval = now - (this.drawnAt ?? now);
    this.drawnAt = now;
    this.drawn = (this.drawn ?? 0) + 1;
  }

  // Count the age of the picture from now on: it was not expected to change.
  restart() {
    this.drawnAt &&= Date.now();
    this.interval = 0;
  }

  // Time of the last picture in ms since 1970 if it is stale, else 0. A slow source is allowed three intervals.
  staleSince() {
    const stale = this.drawnAt && Date.now() - this.drawnAt > Math.max(STALE_MS, 3 * this.interval);
    return stale ? this.drawnAt : 0;
  }

  showSettings(settings) {
    this.settings = settings;
    this.updateOverlay();
  }

  setDraft(region) {
    this.draft = region;
    this.updateOverlay();
  }

  // The layout on display: the original while it is compared, else the chosen one.
  layout() { return this.settings.original ? "original" : this.settings.layout; }

  // The rectangle of the picture inside its element, in CSS pixels; the element may be larger.
  box() {
    const { clientWidth: w, clientHeight: h } = this.canvas;
    const scale = Math.min(w / this.canvas.width, h / this.canvas.height);
    const [width, height] = [this.canvas.width * scale, this.canvas.height * scale];
    return { left: (w - width) / 2, top: (h - height) / 2, width, height, scale };
  }

  // Position of a pointer in pixels of the source. In the side-by-side layout, half 1 is the right
  // picture; both show the same positions.
  position(event, half) {
    const box = this.box(), area = this.canvas.getBoundingClientRect();
    const x = (event.clientX - area.left - box.left) / box.scale;
    const y = (event.clientY - area.top - box.top) / box.scale;
    return [clamp(x - half * this.size[0], 0, this.size[0]), clamp(y, 0, this.size[1])];
  }

  dragRegion(event) {
    if (event.button !== 0) return;
    const area = this.canvas.getBoundingClientRect();
    const half = this.layout() === "side" && event.clientX - area.left > area.width / 2 ? 1 : 0;
    const start = this.position(event, half);
    const regionTo = (moved) => {
      const end = this.position(moved, half);
      const low = start.map((v, i) => Math.min(v, end[i])), high = start.map((v, i) => Math.max(v, end[i]));
      const region = [...low, high[0] - low[0], high[1] - low[1]].map(Math.round);
      return Math.min(region[2], region[3]) >= SMALLEST_SIDE ? region : null;
    };
    const tool = this.tool, isLine = tool?.kind === "length";
    drag(this.canvas, event, (moved) => {
      if (isLine) tool.move(start, this.position(moved, half));
      else this.setDraft(regionTo(moved));
    }, (released) => {
      const region = isLine ? tool.measure(start, this.position(released, half)) : regionTo(released);
      if (region) this.confirm(region);
      this.setDraft(null);
    }, () => this.setDraft(null));
  }

  // Use a region, or a length, for the present tool.
  confirm(region) {
    if (this.tool) this.tool.done(region);
    else this.connection.set({ region });
  }

  // A region made by keyboard is a draft until it is confirmed, as each change of the region
  // restarts the temporal filter.
  handleKey(event) {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    const direction = ARROWS[event.key], { region } = this.settings;
    if (event.key === "Enter" && this.draft) {
      this.confirm(this.draft);
      this.draft = null;
    } else if (direction || event.key === "Enter") {
      const middle = [0.25, 0.25, 0.5, 0.5].map((part, i) => Math.round(part * this.size[i % 2]));
      this.draft = this.stepRegion(this.draft ?? region ?? middle, direction ?? [0, 0], event.shiftKey);
    } else if (event.key === "Escape") {
      if (!this.draft && region && !this.tool) this.connection.set({ region: null });
      this.draft = null;
    } else return;
    event.preventDefault();
    this.updateOverlay();
  }

  // The region, moved or resized by one step in a direction, within the picture.
  stepRegion(region, direction, resize) {
    const step = direction.map((sign) => sign * Math.max(Math.round(this.size[0] / ARROW_STEPS), 1));
    const extent = [0, 1].map((i) => clamp(region[2 + i] + (resize ? step[i] : 0), SMALLEST_SIDE, this.size[i] - (resize ? region[i] : 0)));
    const corner = [0, 1].map((i) => clamp(region[i] + (resize ? 0 : step[i]), 0, this.size[i] - extent[i]));
    return [...corner, ...extent];
  }

  dragWipe(event) {
    const box = this.box(), area = this.canvas.getBoundingClientRect();
    drag($("wipe"), event, (moved) => {
      this.settings.wipe = clamp((moved.clientX - area.left - box.left) / box.width, 0, 1);
      this.connection.set({ wipe: this.settings.wipe });
      this.updateOverlay();
    });
  }

  // Place the region, the border and the labels over the picture.
  updateOverlay() {
    const box = this.box(), layout = this.layout(), { wipe } = this.settings;
    const region = this.draft ?? this.settings.region;
    place("region", region, () => ({
      left: box.left + region[0] * box.scale, top: box.top + region[1] * box.scale,
      width: region[2] * box.scale, height: region[3] * box.scale,
    }));
    $("region-text").textContent = region
      ? `${region[2]} × ${region[3]} px at ${region[0]}, ${region[1]}${this.draft ? " …" : ""}`
      : "Whole picture. Drag to select a region.";
    place("wipe", layout === "split", () => ({
      left: box.left + wipe * box.width, top: box.top, height: box.height,
    }));
    $("wipe").setAttribute("aria-valuenow", Math.round(100 * wipe));
    const [left, right] = document.querySelectorAll(".tag");
    left.hidden = layout === "magnified" || layout === "map";
    left.textContent = layout === "difference" ? "magnified minus original; grey: no difference" : "original";
    right.hidden = layout !== "split" && layout !== "side";
    left.style.left = `${box.left + 10}px`;
    right.style.right = `${box.left + 10}px`;
    left.style.bottom = right.style.bottom = `${box.top + 10}px`;
    this.onOverlay();
  }

  // Download the picture on display as a PNG file.
  save() { this.canvas.toBlob((blob) => download(blob, "picture", "png")); }
}

// Follow a pointer until it is released, or the browser cancels the drag.
export function drag(element, event, onMove, onEnd = onMove, onCancel = () => {}) {
  element.setPointerCapture(event.pointerId);
  event.preventDefault();
  const listeners = new AbortController(), options = { signal: listeners.signal };
  element.addEventListener("pointermove", onMove, options);
  element.addEventListener("pointerup", (released) => { listeners.abort(); onEnd(released); }, options);
  element.addEventListener("pointercancel", () => { listeners.abort(); onCancel(); }, options);
}

// Show an element at a position in CSS pixels, or hide it.
function place(id, visible, position) {
  const element = $(id);
  element.hidden = !visible;
  if (visible) for (const [name, value] of Object.entries(position())) element.style[name] = `${value}px`;
}
