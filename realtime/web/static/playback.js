// Playback of a file: position, single frames, the played part, loop and speed.

const $ = (id) => document.getElementById(id);
const HOLD_MS = 600; // after the user moved the slider, in which it waits for the server's answer

export class Playback {
  constructor(connection) {
    this.connection = connection;
    this.position = 0;
    this.movedAt = 0;
    $("seek").addEventListener("input", () => {
      this.movedAt = Date.now();
      this.showTime(Number($("seek").value));
      connection.set({ position: this.position });
    });
    for (const [id, step] of [["step-back", -1], ["step-on", 1]]) {
      $(id).addEventListener("click", () => connection.set({ paused: true, step }));
    }
    $("set-start").addEventListener("click", () => connection.set({ start: this.values.start === null ? this.position : null }));
    $("set-end").addEventListener("click", () => connection.set({ end: this.values.end === null ? this.position : null }));
    $("loop").addEventListener("click", () => connection.set({ loop: !this.values.loop }));
    $("speed").addEventListener("change", () => connection.set({ speed: Number($("speed").value) }));
  }

  showSettings(values) {
    this.values = values;
    if (values.speed === undefined) return;
    const speeds = [...$("speed").options].map(({ value }) => Number(value));
    const nearest = speeds.reduce((best, each) => (Math.abs(Math.log(each / values.speed)) < Math.abs(Math.log(best / values.speed)) ? each : best));
    $("speed").value = String(nearest);
    $("loop").setAttribute("aria-pressed", values.loop);
    for (const [id, edge] of [["set-start", "start"], ["set-end", "end"]]) {
      $(id).setAttribute("aria-pressed", values[edge] !== null);
      $(id).title = values[edge] === null ? `Play ${edge === "start" ? "from" : "up to"} here` : `Play ${edge === "start" ? "from the beginning" : "to the end"} again`;
    }
    this.showPart();
  }

  showStatus({ position, duration }) {
    $("playback").hidden = duration == null;
    if (duration == null) return;
    this.duration = duration;
    $("seek").max = duration;
    if (Date.now() - this.movedAt > HOLD_MS) {
      $("seek").value = position;
      this.showTime(position);
    }
    this.showPart();
  }

  showTime(position) {
    this.position = position;
    const text = `${clock(position, this.duration)} / ${clock(this.duration, this.duration)}`;
    $("time").textContent = text;
    $("seek").setAttribute("aria-valuetext", text);
    $("seek").style.setProperty("--part", `${(100 * position) / this.duration}%`);
  }

  showPart() {
    const { start, end } = this.values ?? {};
    if (!this.duration) return;
    $("played-part").hidden = start == null && end == null;
    $("played-part").style.left = `${(100 * (start ?? 0)) / this.duration}%`;
    $("played-part").style.right = `${100 - (100 * (end ?? this.duration)) / this.duration}%`;
  }
}

// Minutes and seconds; hundredths too if the whole is short.
function clock(seconds, whole) {
  const digits = whole < 60 ? 2 : whole < 600 ? 1 : 0, rest = (seconds % 60).toFixed(digits);
  return `${Math.floor(seconds / 60)}:${rest.padStart(digits ? 3 + digits : 2, "0")}`;
}
