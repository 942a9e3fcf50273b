// The blind test: excerpts of the original and the new, in an order drawn by lot, and votes in the
// format of the evaluation's listening page.
import { RATE } from "./playback.js";
import { clock, element } from "./wave.js";

const by = (id) => document.getElementById(id);
const EXCERPT = 10; // s
const MOST = 3; // pairs

export class Blind {
  constructor(mixer) {
    this.mixer = mixer;
    this.job = null;
    by("voter").addEventListener("input", () => {
      this.state.voter = by("voter").value;
      this.keep();
    });
    by("save-votes").addEventListener("click", () => this.save());
    by("forget-votes").addEventListener("click", () => {
      try { sessionStorage.removeItem(this.place); } catch { /* nothing was kept */ }
      this.begin(this.job);
    });
  }

  show(job) {
    if (this.job?.id === job.id) return;
    this.begin(job);
  }

  get place() { return `audiotransfer-votes-${this.job.id}`; }

  begin(job) {
    this.job = job;
    let kept = null;
    try { kept = JSON.parse(sessionStorage.getItem(this.place)); } catch { /* a private window */ }
    this.state = kept || { voter: "", seed: crypto.getRandomValues(new Uint32Array(1))[0], votes: {} };
    const seconds = this.mixer.seconds;
    const count = Math.max(1, Math.min(MOST, Math.floor(seconds / EXCERPT)));
    const length = Math.min(EXCERPT, seconds);
    const flip = generator(this.state.seed);
    this.pairs = [...Array(count).keys()].map((n) => {
      const start = count > 1 ? n * (seconds - length) / (count - 1) : 0;
      const first = flip() < 0.5 ? "before" : "after";
      return { name: `${job.name} from ${clock(start)}`, start, end: start + length, A: first, B: first === "before" ? "after" : "before" };
    });
    by("voter").value = this.state.voter;
    this.draw();
  }

  keep() {
    try { sessionStorage.setItem(this.place, JSON.stringify(this.state)); } catch { /* a private window */ }
  }

  draw() {
    by("blind-pairs").replaceChildren(...this.pairs.map((pair, n) => element("section", { "aria-label": `Pair ${n + 1}` },
      element("h3", {}, `Pair ${n + 1} of ${this.pairs.length}`),
      element("p", {}, ...["A", "B"].flatMap((side) => [element("button", { type: "button", onclick: () => this.hear(pair, side) }, `Hear ${side}`), " ", element("span", { class: "hint", id: `told-${n}-${side}` }), " "])),
      ...this.job.questions.map((question) => element("fieldset", {}, element("legend", {}, question.text),
        ...question.answers.map((answer) => element("label", {},
          element("input", {
            type: "radio", name: `${n}-${question.id}`, value: answer, checked: this.state.votes[n]?.[question.id] === answer,
            onchange: () => {
              this.state.votes[n] = { ...this.state.votes[n], [question.id]: answer };
              this.keep();
              this.tell();
            },
          }), ` ${answer}`)))))));
    this.tell();
  }

  hear(pair, side) {
    const { mixer } = this;
    const { player } = mixer;
    mixer.original = pair[side] === "before";
    // The mixer must not tell which of the two is heard.
    mixer.hidden = true;
    mixer.apply();
    player.setLoop(null);
    player.seek(pair.start * RATE);
    if (!player.playing) player.play();
    const { turn } = player;
    clearTimeout(this.timer);
    this.timer = setTimeout(() => {
      if (player.turn !== turn) return; // somebody plays something else
      player.pause();
      mixer.hidden = mixer.original = false;
      mixer.apply();
    }, 1000 * (pair.end - pair.start) + 500);
  }

  get finished() {
    return this.pairs.every((_, n) => this.job.questions.every((question) => this.state.votes[n]?.[question.id] !== undefined));
  }

  tell() {
    const { finished } = this;
    const done = this.pairs.filter((_, n) => this.job.questions.every((question) => this.state.votes[n]?.[question.id] !== undefined)).length;
    this.pairs.forEach((pair, n) => {
      for (const side of ["A", "B"]) by(`told-${n}-${side}`).textContent = finished ? pair[side] : "";
    });
    by("blind-state").textContent = `${done} of ${this.pairs.length} pairs voted on.`;
    by("blind-result").replaceChildren();
    if (!finished) return;
    const rows = this.job.questions.flatMap((question) => {
      const counts = {};
      this.votes().votes.forEach(({ answers }) => { counts[answers[question.id]] = (counts[answers[question.id]] || 0) + 1; });
      return Object.entries(counts).map(([answer, count], i) => element("tr", {}, element("th", {}, i ? "" : question.text), element("td", {}, answer), element("td", {}, `${count} of ${this.pairs.length}`)));
    });
    by("blind-result").append(element("table", {}, element("tbody", {}, ...rows)));
  }

  votes() {
    return {
      kind: "audiotransfer-votes", version: 1, id: this.job.id, title: `Blind test: ${this.job.name}`, style: this.job.request.style,
      seed: this.state.seed, voter: this.state.voter, complete: this.finished,
      votes: this.pairs.map((pair, n) => ({
        pair: pair.name,
        order: [pair.A, pair.B],
        answers: Object.fromEntries(Object.entries(this.state.votes[n] || {}).map(([id, answer]) => [id, { A: pair.A, B: pair.B }[answer] || answer])),
      })),
    };
  }

  save() {
    const address = URL.createObjectURL(new Blob([JSON.stringify(this.votes(), null, 1)], { type: "application/json" }));
    const made = element("a", { href: address, download: `votes-${this.job.request.style}-${this.job.id.slice(0, 12)}.json` });
    made.click();
    URL.revokeObjectURL(address);
  }
}

// Numbers 0..1 from a seed (mulberry32), so that saved votes can be checked.
function generator(seed) {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 4294967296;
  };
}
