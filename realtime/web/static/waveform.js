// The chart of a region's displacement over time, with zoom: by wheel, two fingers, buttons or keys.

import { Plot, colour, followPointers, formatShort, roundUp, sizeOf, ticks } from "./plot.js";

const KEPT = 120; // seconds of samples, as on the server
const SPANS = [0.5, 1, 2, 3, 5, 10]; // seconds, of the automatic zoom
const SHORTEST = 0.02, BUTTON_ZOOM = 2, KEY_PAN = 0.25;

// The samples of one region, in the order of their times.
class Samples {
  constructor(run) { Object.assign(this, { run, t: [], x: [], y: [], last: 0 }); }

  // Insert a piece; samples between its first and last time are replaced. Where its times go back, as
  // in a loop of a file, it is taken apart.
  add({ t, x, y }) {
    for (let first = 0; first < t.length;) {
      let end = first + 1;
      while (end < t.length && t[end] > t[end - 1]) end += 1;
      const low = lowerBound(this.t, t[first]), high = lowerBound(this.t, t[end - 1] + 1e-9);
      this.t.splice(low, high - low, ...t.slice(first, end));
      this.x.splice(low, high - low, ...x.slice(first, end));
      this.y.splice(low, high - low, ...y.slice(first, end));
      this.last = t[end - 1];
      first = end;
    }
    const old = lowerBound(this.t, this.t.at(-1) - KEPT);
    for (const values of [this.t, this.x, this.y]) values.splice(0, old);
  }
}

export class Waveform {
  constructor(canvas) {
    this.canvas = canvas;
    this.regions = new Map(); // samples of each region by its name
    this.span = null; // seconds that are shown; null: chosen by the samples
    this.end = null; // time of the right end; null: the newest sample
    this.unit = { factor: 1, name: "px" }; // factor: the value of 1 px
    followPointers(canvas, {
      zoom: (factor, part) => this.zoom(factor, part),
      start: (event) => { this.grip = { x: event.clientX, range: this.range() }; },
      move: (event) => {
        const { x, range: [begin, end] } = this.grip;
        this.moveTo(end - ((event.clientX - x) / canvas.clientWidth) * (end - begin));
      },
      end: () => {}, cancel: () => {},
    });
    canvas.addEventListener("dblclick", () => this.reset());
    canvas.addEventListener("keydown", (event) => this.handleKey(event));
  }

  show(parts) {
    const known = this.regions;
    this.regions = new Map(parts.map((part) => {
      const before = [...known.values()].find(({ run }) => run === part.run);
      const samples = before ?? new Samples(part.run);
      if (part.t.length) samples.add(part);
      return [part.name, samples];
    }));
  }

  clear() { this.regions.clear(); }

  // ---- zoom ------------------------------------------------------------------------------------

  get samples() { return this.regions.get(this.selected) ?? [...this.regions.values()][0]; }

  // Times at the left and the right end.
  range() {
    const { t } = this.samples, newest = t.at(-1), span = this.span ?? this.usualSpan();
    const end = this.end ?? newest;
    return [end - span, end];
  }

  usualSpan() {
    const { t } = this.samples, length = t.at(-1) - t[0];
    return SPANS.find((span) => span >= 0.98 * length) ?? SPANS.at(-1);
  }

  // The newest sample stays at the right end as long as the user has not moved away from it.
  zoom(factor, part) {
    if (!this.samples?.t.length) return;
    const [begin, end] = this.range(), length = end - begin;
    const span = Math.min(Math.max(length * factor, SHORTEST), KEPT);
    this.span = span;
    if (this.end === null) this.draw();
    else this.moveTo(end - (1 - part) * (length - span));
  }

  moveTo(end) {
    const { t } = this.samples, [begin, present] = this.range();
    this.span = present - begin;
    this.end = end >= t.at(-1) ? null : Math.max(end, t[0] + this.span / 2);
    this.draw();
  }

  step(direction) { this.zoom(BUTTON_ZOOM ** direction, 0.5); }

  reset() {
    this.span = this.end = null;
    this.draw();
  }

  handleKey(event) {
    const [begin, end] = this.samples?.t.length ? this.range() : [0, 1], pan = KEY_PAN * (end - begin);
    const action = {
      "+": () => this.step(-1), "=": () => this.step(-1), "-": () => this.step(1), 0: () => this.reset(),
      ArrowLeft: () => this.moveTo(end - pan), ArrowRight: () => this.moveTo(end + pan),
    }[event.key];
    if (!action || event.ctrlKey || event.metaKey || event.altKey) return;
    event.preventDefault();
    event.stopPropagation(); // the same keys change the magnification elsewhere
    if (this.samples?.t.length) action();
  }

  // ---- draw ------------------------------------------------------------------------------------

  draw(canvas = this.canvas, size = sizeOf(canvas)) {
    if (!this.samples?.t.length || !size.width) return;
    const { t, x, y, last } = this.samples, range = this.range(), { factor } = this.unit;
    const first = Math.max(lowerBound(t, range[0]) - 1, 0), end = Math.min(lowerBound(t, range[1]) + 1, t.length);
    const curves = [x, y].map((values) => centred(values, first, end, factor));
    const top = roundUp(Math.max(...curves.flatMap(({ low, high }) => [-low, high]), 0.004 * factor));
    const plot = new Plot(canvas, size, range, [-top, top]);
    plot.horizontalLines([-top, 0, top], formatShort);
    this.drawTimes(plot, range);
    if (last < t.at(-1)) plot.verticalLine(last, colour("muted"));
    plot.trace(t, curves[1].values, colour("muted"), first, end);
    plot.trace(t, curves[0].values, this.stroke, first, end);
  }

  // Seconds before the newest sample; while the chart stands still, seconds since the first one.
  drawTimes(plot, [begin, end]) {
    if (this.end !== null) {
      plot.horizontalLabels(ticks(begin, end, plot.innerWidth / 70), (v) => `${trimmed(v)} s`);
      return;
    }
    const marks = ticks(begin - end, 0, plot.innerWidth / 70).map((v) => v + end);
    const label = (v) => (end - v < 1e-9 ? "now" : `${trimmed(end - v)} s${v === marks[0] ? " ago" : ""}`);
    plot.horizontalLabels([marks[0], marks.at(-1), ...marks], label);
  }
}

const trimmed = (v) => String(Number(v.toFixed(4)));

// Index of the first value that is not below a limit.
function lowerBound(values, limit) {
  let low = 0, high = values.length;
  while (low < high) {
    const middle = (low + high) >> 1;
    if (values[middle] < limit) low = middle + 1;
    else high = middle;
  }
  return low;
}

// The values in another unit, around the middle of those from index `first` to before `end`.
function centred(values, first, end, factor) {
  let low = Infinity, high = -Infinity, sum = 0;
  for (let i = first; i < end; i += 1) {
    low = Math.min(low, values[i]);
    high = Math.max(high, values[i]);
    sum += values[i];
  }
  const middle = sum / (end - first);
  return { values: values.map((v) => (v - middle) * factor), low: (low - middle) * factor, high: (high - middle) * factor };
}
