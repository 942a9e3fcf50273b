// Bars, sections and chords above the waveforms, and their correction.
import { call } from "./api.js";
import { element } from "./wave.js";

const by = (id) => document.getElementById(id);
const STEP = 0.02; // s by which an arrow key moves a bar line

export class Sheet {
  // `frame` gives the song's length in seconds; `again` starts a transfer with corrections.
  constructor(frame, again, say) {
    this.frame = frame;
    this.say = say;
    this.job = null;
    this.edits = [];
    this.shown = null;
    by("undo").addEventListener("click", () => this.undo());
    by("again").addEventListener("click", () => again(this.request()));
  }

  async show(job, styles) {
    if (this.job?.id === job.id) return;
    this.job = job;
    this.edits = [];
    by("sheet").hidden = !job.has_sheet;
    by("corrections").hidden = !job.has_sheet;
    by("reused").hidden = job.kind === "midi"; // whose parts are played each time
    if (!job.has_sheet) return;
    by("again-style").replaceChildren(...styles.map((name) => element("option", { selected: name === job.request.style }, name)));
    by("again-seed").value = job.request.seed || 0;
    this.draw(await call("GET", `api/jobs/${job.id}/sheet`));
  }

  // The job's request with the corrections, and another band or seed.
  request() {
    return { ...this.job.request, mode: "cover", sheet_of: this.job.id, edits: this.edits, style: by("again-style").value, seed: Number(by("again-seed").value || 0),
      ...(by("again-style").value === this.job.request.style ? {} : { lead: null }) };
  }

  async correct(edit) {
    // A later correction of the same place takes the earlier one's.
    const same = (one) => edit.kind !== "section" && one.kind === edit.kind && one.beat === edit.beat && one.bar === edit.bar;
    const edits = [...this.edits.filter((one) => !same(one)), edit];
    try {
      const sheet = await call("POST", `api/jobs/${this.job.id}/sheet`, { edits });
      this.edits = edits;
      this.say("");
      this.draw(sheet);
      return true;
    } catch (error) {
      this.say(error.message);
      this.draw(this.shown);
      return false;
    }
  }

  async undo() {
    this.edits = [];
    this.draw(await call("GET", `api/jobs/${this.job.id}/sheet`));
  }

  draw(sheet) {
    this.shown = sheet;
    const seconds = this.frame();
    const place = (time) => `${100 * time / seconds}%`;
    const chordEdits = new Set(this.edits.filter((one) => one.kind === "chord").map((one) => one.beat));
    const barEdits = new Set(this.edits.filter((one) => one.kind === "bar").map((one) => one.bar));
    const sectionEdits = new Set(this.edits.filter((one) => one.kind === "section").map((one) => one.bar));
    const starts = [...sheet.chords.map((chord) => chord.seconds), sheet.end];
    by("sheet").replaceChildren(
      ...sheet.bars.map((bar) => element("span", { class: "bar", style: `left: ${place(bar.seconds)}`, "aria-hidden": "true" })),
      ...sheet.sections.map((section) => {
        const bar = this.barAt(section.seconds);
        return element("button", {
          type: "button", class: `section${sectionEdits.has(bar) ? " changed" : ""}`, "data-section": bar, "data-time": section.seconds, style: `left: ${place(section.seconds)}`,
          "aria-label": `Section ${section.name} from bar ${bar + 1}, name it otherwise`,
          onclick: (event) => this.name(event.currentTarget, bar, section.name),
        }, section.name);
      }),
      ...sheet.bars.map((bar, number) => this.line(bar, number, place, barEdits.has(number))),
      ...sheet.chords.map((chord, number) => {
        const made = element("button", {
          type: "button", class: `chord${chordEdits.has(chord.beat) ? " changed" : ""}`, "data-time": chord.seconds, "data-beat": chord.beat,
          style: `left: ${place(chord.seconds)}; max-width: ${place(Math.max(0, starts[number + 1] - chord.seconds))}`,
          "aria-label": `Chord ${chord.symbol} at ${chord.seconds.toFixed(1)} s, correct it`,
        }, chord.symbol);
        made.addEventListener("click", () => this.type(made, {
          value: chord.symbol, label: `Chord at ${chord.seconds.toFixed(1)} s`, again: `[data-beat="${chord.beat}"]`,
          edit: (symbol) => symbol && { kind: "chord", beat: chord.beat, symbol },
        }));
        return made;
      }));
    by("undo").disabled = !this.edits.length;
    by("edits").textContent = this.edits.length ? `${this.edits.length} correction${this.edits.length > 1 ? "s" : ""}` : "";
  }

  // The bar that begins nearest to a time.
  barAt(seconds) {
    const apart = this.shown.bars.map((bar) => Math.abs(bar.seconds - seconds));
    return apart.indexOf(Math.min(...apart));
  }

  // Has a section typed that begins at a bar; an empty name lets the one before go on.
  name(button, bar, value) {
    this.type(button, {
      value, label: `Section from bar ${bar + 1}; empty: none begins here`, above: true, again: `[data-section="${bar}"]`,
      edit: (name) => ({ kind: "section", bar, name }),
    });
  }

  // An input in place of a button; `edit` makes a correction of its text.
  type(button, { value, label, above, again, edit }) {
    const input = element("input", { value, "aria-label": label, autocomplete: "off", maxlength: 24, class: above ? "above" : "", style: `left: ${button.style.left}` });
    let open = true;
    const end = async (take) => {
      if (!open) return;
      open = false;
      const text = input.value.trim();
      input.remove();
      button.hidden = false;
      const made = take && text !== value && edit(text);
      if (made) await this.correct(made);
      by("sheet").querySelector(again)?.focus();
    };
    input.addEventListener("keydown", (event) => {
      event.stopPropagation();
      if (event.key === "Enter") end(true);
      if (event.key === "Escape") end(false);
    });
    input.addEventListener("blur", () => end(true));
    button.hidden = true;
    by("sheet").append(input);
    input.focus();
    input.select();
  }

  line(bar, number, place, changed) {
    const made = element("button", {
      type: "button", class: `line${changed ? " changed" : ""}`, "data-time": bar.seconds, style: `left: ${place(bar.seconds)}`,
      "aria-label": `Bar ${number + 1} begins at ${bar.seconds.toFixed(2)} s; arrow keys move it, S begins a section`, "data-bar": number,
    });
    let time = bar.seconds;
    let timer = 0;
    const send = async () => {
      if (Math.abs(time - bar.seconds) < 0.005) return;
      await this.correct({ kind: "bar", bar: number, seconds: Math.max(0, Number(time.toFixed(4))) });
      by("sheet").querySelector(`[data-bar="${number}"]`)?.focus();
    };
    made.addEventListener("dblclick", () => this.name(made, number, ""));
    made.addEventListener("keydown", (event) => {
      if (event.key === "s" || event.key === "S") {
        event.preventDefault();
        event.stopPropagation();
        this.name(made, number, "");
      }
      if (event.key !== "ArrowLeft" && event.key !== "ArrowRight") return;
      event.preventDefault();
      event.stopPropagation();
      time += event.key === "ArrowLeft" ? -STEP : STEP;
      made.style.left = place(time);
      clearTimeout(timer);
      timer = setTimeout(send, 600);
    });
    made.addEventListener("pointerdown", (event) => {
      made.setPointerCapture(event.pointerId);
      const box = by("sheet").getBoundingClientRect();
      const move = (to) => {
        time = Math.max(0, (to.clientX - box.left) / box.width * this.frame());
        made.style.left = place(time);
      };
      made.addEventListener("pointermove", move);
      made.addEventListener("pointerup", () => {
        made.removeEventListener("pointermove", move);
        send();
      }, { once: true });
    });
    return made;
  }
}
