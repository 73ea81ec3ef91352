// The chart of the spectra of all regions. A click on a peak, or a drag, sets the band.

import { Plot, axisPart, colour, followPointers, formatPixels, roundUp, sizeOf, ticks } from "./plot.js";

const CLICK_FACTOR = 1.25; // a click at f sets the band from f / 1.25 to 1.25 f
const SMALLEST_DRAG = 1.08; // upper edge over lower edge; a shorter drag counts as a click
const SNAP = 0.03; // of the width; a click this close to a peak means the peak
const BUTTON_ZOOM = 2, LARGEST_ZOOM = 200;

export const bandAround = (hz) => [hz / CLICK_FACTOR, hz * CLICK_FACTOR];

export class Spectrum {
  // onBand: called with [lower, upper] edge in Hz when the user selects a band.
  constructor(canvas, onBand) {
    this.canvas = canvas;
    this.regions = []; // as the server sent them
    this.part = [0, 1]; // the shown part of the frequencies
    this.unit = { factor: 1, name: "px" }; // factor: the value of 1 px
    let start = 0;
    const bandTo = (event) => [start, this.hz(event)].sort((a, b) => a - b);
    const settle = () => { this.draft = null; this.draw(); };
    followPointers(canvas, {
      zoom: (factor, at) => this.zoom(factor, at),
      start: (event) => { start = this.hz(event); },
      move: (event) => {
        this.draft = bandTo(event);
        this.draw();
      },
      end: (event) => {
        const [low, high] = bandTo(event);
        settle();
        if (this.highestHz) onBand(high / low > SMALLEST_DRAG ? [low, high] : bandAround(this.snapToPeak(start)));
      },
      cancel: settle,
    });
    canvas.addEventListener("keydown", (event) => {
      const action = { "+": () => this.step(-1), "=": () => this.step(-1), "-": () => this.step(1), 0: () => this.reset() }[event.key];
      if (!action || event.ctrlKey || event.metaKey || event.altKey) return;
      event.preventDefault();
      event.stopPropagation();
      action();
    });
  }

  get region() { return this.regions.find(({ name }) => name === this.selected) ?? this.regions[0]; }
  get highestHz() { return this.region ? this.region.step * this.region.px.length : 0; }
  range() { return this.part.map((part) => part * this.highestHz); }

  // ---- zoom and clicks -------------------------------------------------------------------------

  zoom(factor, at) {
    const [begin, end] = this.part, place = begin + at * (end - begin);
    const length = Math.min(Math.max((end - begin) * factor, 1 / LARGEST_ZOOM), 1);
    const first = Math.min(Math.max(place - at * length, 0), 1 - length);
    this.part = [first, first + length];
    this.draw();
  }

  step(direction) {
    const peak = this.region?.reading?.peak[0], [low, high] = this.range();
    this.zoom(BUTTON_ZOOM ** direction, peak > low && peak < high ? (peak - low) / (high - low) : 0);
  }

  reset() {
    this.part = [0, 1];
    this.draw();
  }

  // Frequency at a pointer's position.
  hz(event) {
    const [low, high] = this.range(), part = Math.min(Math.max(axisPart(this.canvas, event), 0), 1);
    return Math.max(Math.min(low + part * (high - low), 0.98 * this.highestHz), 0.005 * (high - low));
  }

  snapToPeak(hz) {
    const [low, high] = this.range(), near = SNAP * (high - low);
    const peaks = this.region.peaks.map(([at]) => at).filter((at) => Math.abs(at - hz) < near);
    return peaks.sort((a, b) => Math.abs(a - hz) - Math.abs(b - hz))[0] ?? hz;
  }

  // ---- draw ------------------------------------------------------------------------------------

  draw(canvas = this.canvas, size = sizeOf(canvas)) {
    if (!this.highestHz || !size.width) return;
    const { factor } = this.unit, range = this.range(), { reading } = this.region;
    const top = roundUp(Math.max(...this.regions.map((each) => highest(each, range)), 0.001) * factor);
    const plot = new Plot(canvas, size, range, [0, top]);
    const band = this.draft ?? this.band;
    if (band) plot.shade(band, `${colour("accent")}24`);
    plot.horizontalLines([0, top / 2, top], formatPixels);
    this.drawFrequencies(plot, range);
    const draw = (each, stroke, method) => plot[method](each.px.map((_, i) => i * each.step), each.px.map((v) => v * factor), stroke);
    for (const each of this.regions) if (each !== this.region) draw(each, this.strokeOf(each.name), "line");
    draw(this.region, this.strokeOf(this.region.name), "area");
    for (const [hz, px] of this.region.peaks) plot.dot([hz, px * factor], colour("text"));
    if (reading) plot.mark([reading.peak[0], reading.peak[1] * factor], this.rate(reading.peak[0]));
  }

  drawFrequencies(plot, [low, high]) {
    const { factor, name } = this.frequencyUnit;
    const marks = ticks(low * factor, high * factor, plot.innerWidth / 50).map((v) => v / factor);
    const label = (v) => `${Number((v * factor).toFixed(3))}${v === marks[0] ? ` ${name}` : ""}`;
    plot.horizontalLabels(marks, label);
  }
}

// Largest amplitude within a range of frequencies; the first two, which are drift, do not count.
function highest({ px, step, peaks }, [low, high]) {
  const first = Math.max(Math.floor(low / step), 2);
  const inside = peaks.filter(([hz]) => hz >= low && hz <= high).map(([, size]) => size);
  return Math.max(...px.slice(first, Math.ceil(high / step) + 1), ...inside, 0);
}
