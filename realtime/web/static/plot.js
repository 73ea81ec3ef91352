// One plot on a canvas: axes, lines, envelopes and marks. Zoom by wheel, two fingers or keys.

const LEFT = 52, BOTTOM = 20, TOP = 6, RIGHT = 6; // margins in CSS pixels
const LABEL_GAP = 8; // CSS pixels between two labels
const WHEEL_ZOOM = 0.0015; // per pixel of a wheel's turn
const DENSE = 2; // samples per CSS pixel above which the extremes are drawn in place of the line
const SPARSE = 0.15; // samples per CSS pixel below which each sample has a dot

// A colour of style.css.
export const colour = (name) => getComputedStyle(document.documentElement).getPropertyValue(`--${name}`);

// Size of a canvas on the page, for `Plot`.
export const sizeOf = ({ clientWidth: width, clientHeight: height }) => ({ width, height, ratio: devicePixelRatio });

// Share of the horizontal axis at a pointer's position, 0 to 1 inside of the plot.
export function axisPart(canvas, { clientX }) {
  const area = canvas.getBoundingClientRect();
  return (clientX - area.left - LEFT) / (area.width - LEFT - RIGHT);
}

export class Plot {
  // size: {width, height, ratio}, in CSS pixels; xRange and yRange are [low, high] in the units of the data.
  constructor(canvas, { width, height, ratio }, xRange, yRange) {
    if (canvas.width !== Math.round(width * ratio) || canvas.height !== Math.round(height * ratio)) {
      [canvas.width, canvas.height] = [Math.round(width * ratio), Math.round(height * ratio)];
    }
    Object.assign(this, { canvas, width, height, xRange, yRange, context: canvas.getContext("2d") });
    this.context.setTransform(ratio, 0, 0, ratio, 0, 0);
    this.context.clearRect(0, 0, width, height);
    this.context.font = "11px system-ui, sans-serif";
  }

  get innerWidth() { return this.width - LEFT - RIGHT; }

  // Data to CSS pixels.
  x(value) { return LEFT + ((value - this.xRange[0]) / (this.xRange[1] - this.xRange[0])) * this.innerWidth; }
  y(value) { return this.height - BOTTOM - ((value - this.yRange[0]) / (this.yRange[1] - this.yRange[0])) * (this.height - BOTTOM - TOP); }

  horizontalLines(values, format) {
    const c = this.context;
    c.strokeStyle = colour("line"); c.fillStyle = colour("muted");
    c.textAlign = "right"; c.textBaseline = "middle"; c.lineWidth = 1;
    for (const value of values) {
      const y = Math.round(this.y(value)) + 0.5;
      c.beginPath(); c.moveTo(LEFT, y); c.lineTo(this.width - RIGHT, y); c.stroke();
      c.fillText(format(value), LEFT - 8, Math.min(y, this.height - BOTTOM));
    }
  }

  // Labels along the horizontal axis, the most important first: one that has no space is left out.
  // All of them stay inside of the plot.
  horizontalLabels(values, format) {
    const c = this.context, taken = [];
    c.textBaseline = "alphabetic"; c.textAlign = "left"; c.fillStyle = colour("muted");
    for (const value of values) {
      const text = format(value), { width } = c.measureText(text);
      const left = Math.max(LEFT, Math.min(this.x(value) - width / 2, this.width - RIGHT - width));
      if (taken.some(([begin, end]) => left < end + LABEL_GAP && left + width > begin - LABEL_GAP)) continue;
      taken.push([left, left + width]);
      c.fillText(text, left, this.height - 5);
    }
    this.canvas.dataset.labels = JSON.stringify(taken);
  }

  // Draw inside of the axes only.
  inside(draw) {
    const c = this.context;
    c.save();
    c.beginPath(); c.rect(LEFT, 0, this.width - LEFT - RIGHT, this.height - BOTTOM + 1); c.clip();
    draw(c);
    c.restore();
  }

  // The samples from index `first` to before `end`: joined by a line or, where they are too many for
  // that, as the area between the extremes of each column of pixels.
  trace(xs, ys, stroke, first = 0, end = xs.length) {
    const dense = end - first > DENSE * this.innerWidth;
    this.canvas.dataset.drawn = dense ? "envelope" : "samples";
    this.inside((c) => {
      c.strokeStyle = c.fillStyle = stroke;
      if (dense) this.envelope(c, xs, ys, first, end);
      else this.polyline(c, xs, ys, first, end);
      if (end - first > SPARSE * this.innerWidth) return;
      for (let i = first; i < end; i += 1) { c.beginPath(); c.arc(this.x(xs[i]), this.y(ys[i]), 2.2, 0, 7); c.fill(); }
    });
  }

  // A line without dots.
  line(xs, ys, stroke) {
    this.inside((c) => {
      c.strokeStyle = stroke;
      this.polyline(c, xs, ys, 0, xs.length);
    });
  }

  polyline(c, xs, ys, first, end) {
    const pause = 5 * ((xs[end - 1] - xs[first]) / Math.max(end - first - 1, 1)); // the line has a gap there
    c.beginPath();
    for (let i = first; i < end; i += 1) {
      const joined = i > first && xs[i] - xs[i - 1] <= pause;
      c[joined ? "lineTo" : "moveTo"](this.x(xs[i]), this.y(ys[i]));
    }
    c.lineWidth = 1.5; c.lineJoin = "round"; c.stroke();
  }

  envelope(c, xs, ys, first, end) {
    for (let i = first; i < end;) {
      const column = Math.floor(this.x(xs[i]));
      let low = ys[i], high = ys[i];
      for (; i < end && Math.floor(this.x(xs[i])) === column; i += 1) {
        low = Math.min(low, ys[i]);
        high = Math.max(high, ys[i]);
      }
      const top = this.y(high);
      c.fillRect(column, top, 1, Math.max(this.y(low) - top, 1));
    }
  }

  // A line with the area below it filled.
  area(xs, ys, stroke) {
    if (!xs.length) return;
    this.inside((c) => {
      c.strokeStyle = stroke;
      this.polyline(c, xs, ys, 0, xs.length);
      c.lineTo(this.x(xs.at(-1)), this.y(0)); c.lineTo(this.x(xs[0]), this.y(0));
      c.fillStyle = `${stroke}22`; c.fill();
    });
  }

  shade([low, high], fill) {
    const [left, right] = [low, high].map((value) => this.x(value));
    this.inside((c) => { c.fillStyle = fill; c.fillRect(left, TOP, right - left, this.height - BOTTOM - TOP); });
  }

  verticalLine(value, stroke) {
    this.inside((c) => {
      c.strokeStyle = stroke; c.lineWidth = 1;
      const x = Math.round(this.x(value)) + 0.5;
      c.beginPath(); c.moveTo(x, TOP); c.lineTo(x, this.height - BOTTOM); c.stroke();
    });
  }

  dot([x, y], fill, radius = 3) {
    this.inside((c) => {
      c.fillStyle = fill;
      c.beginPath(); c.arc(this.x(x), Math.max(this.y(y), TOP + radius), radius, 0, 7); c.fill();
    });
  }

  mark([x, y], text) {
    if (x < this.xRange[0] || x > this.xRange[1]) return;
    const c = this.context, [left, top] = [this.x(x), Math.max(this.y(y), TOP + 4)];
    this.dot([x, y], colour("highlight"), 4);
    c.fillStyle = colour("highlight");
    c.font = "600 12px system-ui, sans-serif"; c.textBaseline = "middle";
    const fitsRight = left + 10 + c.measureText(text).width < this.width - RIGHT;
    c.textAlign = fitsRight ? "left" : "right";
    const at = [left + (fitsRight ? 10 : -10), Math.min(Math.max(top, TOP + 8), this.height - BOTTOM - 10)];
    c.strokeStyle = colour("card"); c.lineWidth = 4; // keeps lines behind the text away from it
    c.strokeText(text, ...at);
    c.fillText(text, ...at);
    c.font = "11px system-ui, sans-serif";
  }
}

// Follow wheel, fingers and mouse on a chart. Handlers: zoom(factor, part) where the factor is that of
// the shown range and part, 0 to 1, stays in place; start(event), move(event), end(event) and cancel()
// of one pointer.
export function followPointers(canvas, handlers) {
  const pointers = new Map();
  canvas.addEventListener("wheel", (event) => {
    event.preventDefault();
    handlers.zoom(Math.exp(WHEEL_ZOOM * event.deltaY), axisPart(canvas, event));
  }, { passive: false });
  canvas.addEventListener("pointerdown", (event) => {
    if (event.button !== 0) return;
    pointers.set(event.pointerId, event);
    canvas.setPointerCapture(event.pointerId);
    if (pointers.size === 1) handlers.start(event);
    else handlers.cancel();
  });
  canvas.addEventListener("pointermove", (event) => {
    if (!pointers.has(event.pointerId)) return;
    if (pointers.size === 1) handlers.move(event);
    else if (pointers.size === 2) {
      const distance = () => { const [a, b] = [...pointers.values()]; return Math.abs(a.clientX - b.clientX) + 1; };
      const before = distance();
      pointers.set(event.pointerId, event);
      const parts = [...pointers.values()].map((each) => axisPart(canvas, each));
      handlers.zoom(before / distance(), (parts[0] + parts[1]) / 2);
    }
    pointers.set(event.pointerId, event);
  });
  for (const type of ["pointerup", "pointercancel"]) {
    canvas.addEventListener(type, (event) => {
      const alone = pointers.size === 1;
      if (!pointers.delete(event.pointerId) || !alone) return;
      if (type === "pointerup") handlers.end(event);
      else handlers.cancel();
    });
  }
}

// About three digits.
export const formatNumber = (v) => (v >= 100 ? v.toFixed(0) : v >= 10 ? v.toFixed(1) : v.toFixed(2));
export const formatShort = (v) => String(Number(v.toPrecision(3))); // without zeros at the end
export const formatPixels = (v) => (v === 0 ? "0" : `${Number(v.toPrecision(2))}`);

// Round up to 1, 2 or 5 times a power of ten.
export function roundUp(value) {
  const power = 10 ** Math.floor(Math.log10(value));
  return power * [1, 2, 5, 10].find((m) => m * power >= value * 0.999);
}

// Multiples of 1, 2 or 5 times a power of ten from low to high, at most `most` of them.
export function ticks(low, high, most) {
  const step = roundUp((high - low) / most), first = Math.ceil(low / step - 1e-6);
  return Array.from({ length: Math.floor(high / step + 1e-6) - first + 1 }, (_, i) => (first + i) * step);
}

// Let the user save a file.
export function download(blob, name, ending) {
  const link = document.createElement("a");
  link.href = URL.createObjectURL(blob);
  link.download = `rtmag-${name}-${new Date().toISOString().slice(0, 19).replaceAll(":", "")}.${ending}`;
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 1000);
}
