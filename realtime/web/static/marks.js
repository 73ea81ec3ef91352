// Marks over the picture: measured regions, and the line of a known length.

const $ = (id) => document.getElementById(id);
const HINTS = {
  region: "Drag on the picture to draw the region to measure. Escape cancels.",
  length: "Drag along something of known length. Escape cancels.",
};
const SHORTEST_LINE = 8; // pixels
const LABEL_HEIGHT = 24; // CSS pixels

export class Marks {
  constructor(picture) {
    this.picture = picture;
    this.regions = [];
    this.line = null; // [[x, y], [x, y]] in pixels
    picture.onOverlay = () => this.update();
    document.addEventListener("keydown", ({ key }) => { if (key === "Escape") this.cancel(); });
  }

  show(regions, selected) {
    const changed = JSON.stringify([regions, selected]) !== JSON.stringify([this.regions, this.selected]);
    Object.assign(this, { regions, selected });
    if (changed) this.update();
  }

  // Let the user draw a mark: a "region", or the line of a "length". onDone gets the box, or the length
  // in pixels.
  draw(kind, onDone) {
    const again = this.picture.tool?.kind === kind;
    this.cancel();
    if (again) return;
    this.picture.tool = {
      kind,
      move: (start, end) => { if (kind === "length") this.setLine([start, end]); },
      done: (value) => {
        this.finish();
        onDone(value);
      },
      measure: (start, end) => {
        const length = Math.hypot(end[0] - start[0], end[1] - start[1]);
        return length >= SHORTEST_LINE ? length : null;
      },
    };
    this.button(kind).setAttribute("aria-pressed", "true");
    $("tool-hint").textContent = HINTS[kind];
    $("tool-hint").hidden = false;
    $("picture").focus({ preventScroll: true });
    $("frame").scrollIntoView?.({ block: "nearest" });
  }

  button(kind) { return $({ region: "add-region", length: "draw-length" }[kind]); }

  finish() {
    for (const kind of ["region", "length"]) this.button(kind).setAttribute("aria-pressed", "false");
    $("tool-hint").hidden = true;
    this.picture.tool = null;
  }

  cancel() {
    if (!this.picture.tool) return;
    this.finish();
    this.setLine(null);
    this.picture.setDraft(null);
  }

  // Remove the line of a known length.
  clear() { this.setLine(null); }

  setLine(line) {
    this.line = line;
    this.update();
  }

  update() {
    const box = this.picture.box(), css = ([x, y]) => [box.left + x * box.scale, box.top + y * box.scale];
    const key = JSON.stringify([this.regions.map(({ name }) => name), this.selected]);
    if (key !== this.made) $("marks").replaceChildren(...this.regions.map(({ name }, index) => this.makeMark(name, index)));
    this.made = key; // marks are only moved as long as they are the same, as they can be clicked
    this.regions.forEach(({ box: [x, y, w, h] }, index) => {
      const mark = $("marks").children[index], [left, top] = css([x, y]);
      Object.assign(mark.style, { left: `${left}px`, top: `${top}px`, width: `${w * box.scale}px`, height: `${h * box.scale}px` });
      mark.classList.toggle("low", top < LABEL_HEIGHT);
    });
    $("line").toggleAttribute("hidden", !this.line);
    if (!this.line) return;
    const [[x1, y1], [x2, y2]] = this.line.map(css);
    for (const [name, value] of Object.entries({ x1, y1, x2, y2 })) for (const each of $("line").children) each.setAttribute(name, value);
  }

  makeMark(name, index) {
    const mark = document.createElement("div"), label = document.createElement("button");
    mark.style.setProperty("--stroke", `var(--mark-${index})`);
    mark.classList.toggle("chosen", name === this.selected);
    Object.assign(label, { textContent: name, tabIndex: -1, ariaLabel: `Show region ${name}` });
    label.addEventListener("click", () => this.onSelect(name));
    mark.append(label);
    return mark;
  }
}
